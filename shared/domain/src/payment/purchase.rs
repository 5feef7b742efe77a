//! A purchase, and the decisions that complete it.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, NaiveDate, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use crate::operation::consume::may_move;
use crate::operation::grant::{fits, has_lot};
use crate::{
    Account, Credits, Decline, EntryId, Grant, GrantOrigin, KeyId, MemberId, Offer, Payment, PaymentDetails,
    PaymentId, PaymentStatus, PurchaseId, Rate, Reference, Refunds, Refusal, Source,
};

/// The number of hours in which a provider answers a repeated charge with the result of the first. Later, a
/// repeated charge could charge twice, so the payment is only searched for. One hour less than the 24 that
/// Stripe guarantees.
pub const REPEATABLE_HOURS: i64 = 23;

/// The number of times that a charge is sent when the provider then reports that it has no such payment. After
/// that the purchase fails.
const CHARGES_MAX: u32 = 2;

/// The number of hours after which a payment that waits for the customer is cancelled.
const ABANDONED_HOURS: i64 = 24;

/// The duration of a lease on a purchase in seconds: longer than a function's timeout, so that the holder has
/// stopped when it ends. A provider's event is applied without the lease.
const LEASE_SECONDS: i64 = 30;

/// The number of seconds after which an unfinished purchase is checked again: longer than a lease. It doubles
/// with each check, up to [`LOOK_SECONDS_MAX`].
const LOOK_SECONDS: i64 = 60;
const LOOK_SECONDS_MAX: i64 = 3600;

/// A purchase of credits: a saga on one row. It is written before the provider is called, and is completed by
/// the caller's request, by the provider's event, or by the reconcile schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// Its account and transaction id.
    pub id: PurchaseId,
    /// The credits and the price.
    pub offer: Offer,
    /// The payment provider's id of the payment method.
    pub method: Reference,
    /// The exchange rate from the price's currency into the organisation's own; `None` when none is set.
    pub rate: Option<Rate>,
    /// What caused it.
    pub cause: PurchaseCause,
    /// The time of the request.
    pub made_at: DateTime<Utc>,
    /// The API key of the request.
    pub key_id: Option<KeyId>,
    /// The operator's key, if an operator has made it for the organisation.
    pub super_admin: Option<KeyId>,
    /// The member whose session has made the request.
    pub requested_by: Option<MemberId>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// Its status.
    pub status: PurchaseStatus,
    /// The number of charges sent to the provider.
    pub charges: u32,
    /// The number of checks since then.
    pub looks: u32,
    /// The provider's id of the payment, once known.
    pub payment: Option<PaymentId>,
    /// The provider's receipt or invoice.
    pub receipt: Option<String>,
    /// Its disputes, by the provider's id.
    pub disputes: BTreeMap<String, Dispute>,
    /// Refunds of its payment.
    pub refunds: Refunds,
    /// Whether it has failed and a payment that succeeded nevertheless has to be refunded.
    pub to_return: bool,
    /// The day on which its price counts toward the daily spending limit; `None` once it no longer counts.
    pub counted: Option<NaiveDate>,
    /// The attempt that removed its price from that day: two concurrent attempts write different rows, so only
    /// one of them does.
    pub uncounted_by: Option<String>,
    /// The end of the lease, by the machine's own clock.
    pub leased_until: DateTime<Utc>,
    /// Incremented with every change of the row.
    pub revision: u64,
}

/// A dispute of a purchase, as far as the ledger has processed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dispute {
    /// The disputed minor units; `None` for the whole price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<u64>,
    /// The disputed credits; `None` for all that were bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<Credits>,
    /// The entry that set credits aside; `None` until it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<EntryId>,
    /// The entry that closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<EntryId>,
    /// Whether it was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
}

/// The description of a purchase's transaction by auto-recharge.
pub const BOUGHT_BY_AUTO_RECHARGE: &str = "Auto-recharge";

/// What caused a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PurchaseCause {
    /// A caller's request.
    Caller,
    /// Auto-recharge.
    #[serde(rename = "recharge")]
    AutoRecharge,
}

/// The status of a purchase. `Approved` and `Failed` are final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PurchaseStatus {
    /// The result is not known yet; with a link where the customer has to act, if any.
    Pending(Option<String>),
    /// Paid, and granted by this ledger entry.
    Approved(EntryId),
    /// Not paid, or refunded.
    Failed(Decline),
}

/// The next step of a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurchaseStep {
    /// Send a charge to the provider.
    Charge,
    /// Ask the provider for the payment.
    Find,
    /// Refund the payment.
    Return,
    /// Nothing: it is complete.
    Rest,
}

/// The decision after the provider's report on a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurchaseDecision {
    /// It is paid: grant the credits.
    Grant,
    /// It is not paid and never will be.
    Fail(Decline),
    /// Ask again later; with a link where the customer has to act, if any.
    Wait(Option<String>),
    /// Send the charge again.
    Charge,
    /// Cancel the payment, which has waited too long for the customer.
    Cancel(PaymentId),
    /// Refund the payment: the caller was told that the purchase failed.
    Refund(PaymentId),
    /// Nothing new.
    Nothing,
}

impl Purchase {
    /// A new purchase by a caller, before the provider is called.
    #[must_use]
    pub fn begun(id: PurchaseId, offer: Offer, method: Reference, made_at: DateTime<Utc>) -> Self {
        Self {
            id,
            offer,
            method,
            rate: None,
            cause: PurchaseCause::Caller,
            // Whole seconds, as stored, so that a stored row equals the one written.
            made_at: made_at.trunc_subsecs(0),
            key_id: None,
            super_admin: None,
            requested_by: None,
            request_id: None,
            status: PurchaseStatus::Pending(None),
            charges: 0,
            looks: 0,
            payment: None,
            receipt: None,
            disputes: BTreeMap::new(),
            refunds: Refunds::default(),
            to_return: false,
            counted: None,
            uncounted_by: None,
            leased_until: DateTime::UNIX_EPOCH,
            revision: 0,
        }
    }

    /// The next step.
    #[must_use]
    pub fn next(&self) -> PurchaseStep {
        match &self.status {
            PurchaseStatus::Pending(_) if self.charges == 0 => PurchaseStep::Charge,
            PurchaseStatus::Pending(_) => PurchaseStep::Find,
            PurchaseStatus::Failed(_) if self.to_return => PurchaseStep::Return,
            PurchaseStatus::Approved(_) | PurchaseStatus::Failed(_) => PurchaseStep::Rest,
        }
    }

    /// Whether another process may hold the lease.
    #[must_use]
    pub fn is_leased(&self, wall: DateTime<Utc>) -> bool {
        wall < self.leased_until
    }

    /// The end of a lease that begins at `wall`. Whole milliseconds, as stored, so that a stored row equals the
    /// one written.
    #[must_use]
    pub fn lease(wall: DateTime<Utc>) -> DateTime<Utc> {
        later(wall, Duration::try_seconds(LEASE_SECONDS)).trunc_subsecs(3)
    }

    /// The time of the next scheduled check.
    #[must_use]
    pub fn check_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let seconds = LOOK_SECONDS.checked_shl(self.looks.min(6)).unwrap_or(LOOK_SECONDS_MAX);
        later(now, Duration::try_seconds(seconds.min(LOOK_SECONDS_MAX)))
    }

    /// The decision when the provider reports this payment at `now`. Reports can be late, repeated and in any
    /// order: a final status stays.
    #[must_use]
    pub fn decide(&self, payment: &Payment, now: DateTime<Utc>) -> PurchaseDecision {
        // A payment with another price is not the one that we requested.
        if payment.price != self.offer.price {
            return PurchaseDecision::Nothing;
        }
        match (&self.status, &payment.status) {
            (PurchaseStatus::Approved(_), _) => PurchaseDecision::Nothing,
            (PurchaseStatus::Failed(_), PaymentStatus::Succeeded) => {
                payment.id.clone().map_or(PurchaseDecision::Nothing, PurchaseDecision::Refund)
            }
            (PurchaseStatus::Failed(_), _) => PurchaseDecision::Nothing,
            (PurchaseStatus::Pending(_), PaymentStatus::Succeeded) => PurchaseDecision::Grant,
            (PurchaseStatus::Pending(_), PaymentStatus::Failed(decline)) => {
                PurchaseDecision::Fail(decline.clone())
            }
            (PurchaseStatus::Pending(_), PaymentStatus::Cancelled) => {
                PurchaseDecision::Fail(Decline::plain("cancelled"))
            }
            (PurchaseStatus::Pending(_), PaymentStatus::Refunded) => {
                PurchaseDecision::Fail(Decline::plain("refunded"))
            }
            (PurchaseStatus::Pending(_), PaymentStatus::Processing) => PurchaseDecision::Wait(None),
            (PurchaseStatus::Pending(_), PaymentStatus::Action(link)) => match &payment.id {
                Some(id) if self.is_older_than(ABANDONED_HOURS, now) => PurchaseDecision::Cancel(id.clone()),
                Some(_) | None => PurchaseDecision::Wait(Some(link.clone())),
            },
        }
    }

    /// The decision when the provider reports that it has no payment.
    #[must_use]
    pub fn not_found(&self, now: DateTime<Utc>) -> PurchaseDecision {
        if self.charges < CHARGES_MAX && !self.is_older_than(REPEATABLE_HOURS, now) {
            PurchaseDecision::Charge
        } else {
            PurchaseDecision::Fail(Decline::plain("provider_unavailable"))
        }
    }

    /// The decision when the provider gives no answer. While a repeated charge returns the result of the first,
    /// it is sent again; a payment whose id is known is only searched for.
    #[must_use]
    pub fn decide_without_payment(&self, now: DateTime<Utc>) -> PurchaseDecision {
        if self.payment.is_none() && !self.is_older_than(REPEATABLE_HOURS, now) {
            PurchaseDecision::Charge
        } else {
            PurchaseDecision::Wait(None)
        }
    }

    fn is_older_than(&self, hours: i64, now: DateTime<Utc>) -> bool {
        later(self.made_at, Duration::try_hours(hours)) <= now
    }

    /// The grant of its credits once it is paid. They never expire.
    #[must_use]
    pub fn grant(&self) -> Grant {
        self.offer.grant()
    }
}

impl Offer {
    /// The grant of its credits.
    fn grant(&self) -> Grant {
        Grant {
            source: Source::Purchased,
            amount: self.credits,
            service: self.service,
            expires_at: None,
            origin: GrantOrigin::Purchase,
        }
    }
}

impl Decline {
    /// A decline without a bank's code.
    #[must_use]
    pub fn plain(reason: &str) -> Self {
        Self { reason: reason.to_owned(), decline_code: None }
    }
}

/// Checks that `account` can buy, and hold the bought credits.
///
/// # Errors
/// [`Refusal::Frozen`], [`Refusal::BalanceLimit`]; [`Refusal::TooManyLots`] for credits of a service for which the account
/// has no lot left.
pub fn may_buy(account: &Account, offer: &Offer) -> Result<(), Refusal> {
    may_move(account)?;
    if !fits(account, offer.credits.into()) {
        return Err(Refusal::BalanceLimit);
    }
    has_lot(account, &offer.grant())
}

fn later(at: DateTime<Utc>, by: Option<Duration>) -> DateTime<Utc> {
    at.checked_add_signed(by.unwrap_or_default()).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl PaymentDetails {
    /// The payment of a purchase, as far as it is known.
    #[must_use]
    pub fn by(purchase: &Purchase) -> Self {
        Self {
            transaction: purchase.id.transaction,
            method: purchase.method.clone(),
            price: purchase.offer.price,
            rate: purchase.rate,
            package: purchase.offer.package.clone(),
            payment: purchase.payment.clone(),
            receipt: purchase.receipt.clone(),
        }
    }
}
