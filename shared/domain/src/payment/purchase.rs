use std::collections::BTreeMap;

use chrono::{DateTime, Duration, NaiveDate, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use crate::operation::consume::may_move;
use crate::operation::grant::fits;
use crate::{
    Account, Credits, Decline, EntryId, Grant, KeyId, Offer, Origin, Paid, Payment, PaymentId, PurchaseId,
    Rate, Reference, Refunds, Refusal, Source, Standing,
};

/// For how many hours a provider answers a repeated charge with what the first one came to. Past that,
/// repeating it could charge again, so it is only looked for. An hour less than the 24 that Stripe
/// promises.
pub const REPEATABLE_HOURS: i64 = 23;

/// How often a charge is sent whose payment the provider then says, for certain, that it does not have.
/// After that the purchase has failed.
const CHARGES_MAX: u32 = 2;

/// After how many hours a payment that waits for its customer is given up.
const ABANDONED_HOURS: i64 = 24;

/// For how many seconds whoever drives a purchase has it alone. Longer than a function may run, so that
/// after it nobody is at work any more. What is proven by the provider's own event needs no wait.
const LEASE_SECONDS: i64 = 30;

/// How many seconds after it was last driven an unfinished purchase is looked at again: longer than a
/// lease, so that nobody is at work any more. Each look doubles it, up to [`LOOK_SECONDS_MAX`].
const LOOK_SECONDS: i64 = 60;
const LOOK_SECONDS_MAX: i64 = 3600;

/// Credits for money: a saga on one row. It is written before the provider is asked, and whatever
/// happens then, somebody finishes it: the caller, the provider's own event, or the reconcile schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// Whose, and its transaction as callers know it.
    pub id: PurchaseId,
    /// Credits and price.
    pub offer: Offer,
    /// The payment method, by the provider's name.
    pub method: Reference,
    /// What one unit of the price's currency is worth in the organisation's own; none when nobody has
    /// said.
    pub rate: Option<Rate>,
    /// Who wanted it.
    pub cause: Cause,
    /// When.
    pub made_at: DateTime<Utc>,
    /// The API key that asked.
    pub key_id: Option<KeyId>,
    /// The request that asked.
    pub request_id: Option<String>,
    /// How far it is.
    pub stage: Stage,
    /// How often the provider was asked to charge.
    pub charges: u32,
    /// How often it was looked at since.
    pub looks: u32,
    /// The payment, once the provider has named it.
    pub payment: Option<PaymentId>,
    /// The provider's receipt or invoice.
    pub receipt: Option<String>,
    /// Disputes about it, by the provider's name.
    pub disputes: BTreeMap<String, Dispute>,
    /// Refunds of its money.
    pub refunds: Refunds,
    /// It has failed, and money that was taken for it all the same has to be returned.
    pub to_return: bool,
    /// The day on which its price counts toward what the organisation may spend a day; none once it does not
    /// count any more.
    pub counted: Option<NaiveDate>,
    /// Which attempt took its price off that day again: two that find out together write different rows, so only
    /// one of them does.
    pub uncounted_by: Option<String>,
    /// Until when somebody is at work on it, by the machine's own clock.
    pub leased_until: DateTime<Utc>,
    /// Grows with every change of the row.
    pub revision: u64,
}

/// A dispute, as far as the ledger has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dispute {
    /// Minor units that are disputed; none for all of the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<u64>,
    /// The credits that it is about; none for all that were bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<Credits>,
    /// The entry that set aside what was left; none while that is being done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<EntryId>,
    /// The entry that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<EntryId>,
    /// Whether it was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
}

/// What the transaction of a purchase says that auto-recharge wanted.
pub const BOUGHT_BY_RECHARGE: &str = "Auto-recharge";

/// Who wanted a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Somebody who asked.
    Caller,
    /// Auto-recharge.
    #[serde(rename = "recharge")]
    AutoRecharge,
}

/// How far a purchase is. From `Approved` and `Failed` it never goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Nobody knows yet; with a link, where the customer has something to do.
    Pending(Option<String>),
    /// Paid, and granted by this entry of the ledger.
    Approved(EntryId),
    /// Not paid, or given back.
    Failed(Decline),
}

/// What is to be done next for a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the provider to charge.
    Charge,
    /// Ask the provider what became of it.
    Find,
    /// Give the money back.
    Return,
    /// Nothing: it is finished.
    Rest,
}

/// What follows from what the provider says of a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is paid: grant the credits.
    Grant,
    /// It is not paid and never will be.
    Fail(Decline),
    /// Ask again later; with a link, where the customer has something to do.
    Wait(Option<String>),
    /// Ask the provider to charge, again.
    Charge,
    /// Give the payment up, it has waited too long for its customer.
    Cancel(PaymentId),
    /// Give the money back: it was told that nothing was paid.
    Refund(PaymentId),
    /// Nothing: it is known already.
    Nothing,
}

impl Purchase {
    /// A purchase that is just wanted, by a caller; nobody has been asked for anything yet.
    #[must_use]
    pub fn begun(id: PurchaseId, offer: Offer, method: Reference, made_at: DateTime<Utc>) -> Self {
        Self {
            id,
            offer,
            method,
            rate: None,
            cause: Cause::Caller,
            // Whole seconds, as it is kept: a row that comes back is known again.
            made_at: made_at.trunc_subsecs(0),
            key_id: None,
            request_id: None,
            stage: Stage::Pending(None),
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

    /// What is to be done next.
    #[must_use]
    pub fn next(&self) -> Step {
        match &self.stage {
            Stage::Pending(_) if self.charges == 0 => Step::Charge,
            Stage::Pending(_) => Step::Find,
            Stage::Failed(_) if self.to_return => Step::Return,
            Stage::Approved(_) | Stage::Failed(_) => Step::Rest,
        }
    }

    /// Whether somebody else may be at work on it.
    #[must_use]
    pub fn is_leased(&self, wall: DateTime<Utc>) -> bool {
        wall < self.leased_until
    }

    /// Until when whoever begins at `wall` has it alone. Whole milliseconds, as it is kept: a row that comes
    /// back is known again.
    #[must_use]
    pub fn lease(wall: DateTime<Utc>) -> DateTime<Utc> {
        later(wall, Duration::try_seconds(LEASE_SECONDS)).trunc_subsecs(3)
    }

    /// When it is to be looked at again if nobody finishes it before.
    #[must_use]
    pub fn look_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let seconds = LOOK_SECONDS.checked_shl(self.looks.min(6)).unwrap_or(LOOK_SECONDS_MAX);
        later(now, Duration::try_seconds(seconds.min(LOOK_SECONDS_MAX)))
    }

    /// What follows when the provider has this payment for it at `now`. Words come late, twice and in any
    /// order: what is finished stays so.
    #[must_use]
    pub fn hear(&self, payment: &Payment, now: DateTime<Utc>) -> Verdict {
        // Somebody else's payment under our name is not believed.
        if payment.price != self.offer.price {
            return Verdict::Nothing;
        }
        match (&self.stage, &payment.standing) {
            (Stage::Approved(_), _) => Verdict::Nothing,
            (Stage::Failed(_), Standing::Succeeded) => {
                payment.id.clone().map_or(Verdict::Nothing, Verdict::Refund)
            }
            (Stage::Failed(_), _) => Verdict::Nothing,
            (Stage::Pending(_), Standing::Succeeded) => Verdict::Grant,
            (Stage::Pending(_), Standing::Failed(decline)) => Verdict::Fail(decline.clone()),
            (Stage::Pending(_), Standing::Cancelled) => Verdict::Fail(Decline::plain("cancelled")),
            (Stage::Pending(_), Standing::Refunded) => Verdict::Fail(Decline::plain("refunded")),
            (Stage::Pending(_), Standing::Processing) => Verdict::Wait(None),
            (Stage::Pending(_), Standing::Action(link)) => match &payment.id {
                Some(id) if self.is_older_than(ABANDONED_HOURS, now) => Verdict::Cancel(id.clone()),
                Some(_) | None => Verdict::Wait(Some(link.clone())),
            },
        }
    }

    /// What follows when the provider is certain that it has no payment for it.
    #[must_use]
    pub fn not_found(&self, now: DateTime<Utc>) -> Verdict {
        if self.charges < CHARGES_MAX && !self.is_older_than(REPEATABLE_HOURS, now) {
            Verdict::Charge
        } else {
            Verdict::Fail(Decline::plain("provider_unavailable"))
        }
    }

    /// What follows when the provider does not say what became of it. While a repeated charge is answered
    /// with what the first one came to, repeating it asks the same question and is always answered in the
    /// end; a payment that the provider has named is only looked for.
    #[must_use]
    pub fn unheard(&self, now: DateTime<Utc>) -> Verdict {
        if self.payment.is_none() && !self.is_older_than(REPEATABLE_HOURS, now) {
            Verdict::Charge
        } else {
            Verdict::Wait(None)
        }
    }

    fn is_older_than(&self, hours: i64, now: DateTime<Utc>) -> bool {
        later(self.made_at, Duration::try_hours(hours)) <= now
    }

    /// The credits that it brings once it is paid.
    #[must_use]
    pub fn grant(&self) -> Grant {
        Grant {
            source: Source::Purchased,
            amount: self.offer.credits,
            service: None,
            expires_at: None,
            origin: Origin::Purchase,
        }
    }
}

impl Decline {
    /// A reason without a bank's code.
    #[must_use]
    pub fn plain(reason: &str) -> Self {
        Self { reason: reason.to_owned(), decline_code: None }
    }
}

/// Whether `account` may buy, and hold what it buys.
///
/// # Errors
/// [`Refusal::Frozen`], [`Refusal::BalanceLimit`].
pub fn may_buy(account: &Account, offer: &Offer) -> Result<(), Refusal> {
    may_move(account)?;
    if fits(account, offer.credits.into()) { Ok(()) } else { Err(Refusal::BalanceLimit) }
}

fn later(at: DateTime<Utc>, by: Option<Duration>) -> DateTime<Utc> {
    at.checked_add_signed(by.unwrap_or_default()).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl Paid {
    /// What is known of the payment of a purchase.
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
