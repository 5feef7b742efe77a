//! The settings and the state of auto-recharge.

use chrono::{DateTime, Duration, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Amount, Credits, Decline, EntryId, Money, Period, Reference, Service};

/// The maximum number of automatic charges within an hour. Debits that cross a threshold repeatedly within
/// minutes indicate a mistake, and the card must not pay for it.
pub const BURST_MAX: usize = 5;
const BURST_HOURS: i64 = 1;

/// The number of seconds after which a charge in progress is checked again.
const LOOK_SECONDS: i64 = 60;

/// The number of hours after which a failed payment is retried: the first time, the second time. After one more
/// failure auto-recharge is switched off.
const RETRY_HOURS: [i64; 2] = [1, 6];

/// The auto-recharge of one account: its settings and its state (contract, rule 6; seed: "Auto-Recharge").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoRecharge {
    /// Whether it is enabled.
    pub enabled: bool,
    /// It charges when a debit can spend fewer credits than this.
    pub threshold: Credits,
    /// The service whose debits the threshold concerns; `None` for debits without a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The credits per pack. One charge buys as many packs as bring the balance back to the threshold.
    pub amount: Amount,
    /// The payment provider's id of the payment method.
    pub payment_method: Reference,
    /// The maximum number of credits bought in a calendar month (UTC); `None` for no limit.
    pub monthly_limit: Option<Credits>,
    /// The maximum spend in a calendar month; `None` for the default limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_spend_limit: Option<Money>,
    /// The maximum number of outstanding credits that a charge may settle. With more outstanding nothing is
    /// charged.
    #[serde(default, skip_serializing_if = "no_credits")]
    pub debt_limit: Credits,
    /// Its state.
    pub state: AutoRechargeState,
    /// Whether a payment is disputed: nothing is charged until the owner sets auto-recharge again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disputed: bool,
    /// Whether a payment was refunded: nothing is charged until the owner sets auto-recharge again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refunded: bool,
    /// The number of consecutive failed payments.
    pub failures: u32,
    /// The last failure's reason.
    pub failure: Option<Decline>,
    /// The month of `bought` and `spent`.
    pub month: Period,
    /// The credits of this month's charges: paid, and in progress.
    pub bought: Credits,
    /// Their price in minor units of the organisation's currency.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub spent: u64,
    /// The times of the latest charges, oldest first; at most [`BURST_MAX`].
    pub recent: Vec<DateTime<Utc>>,
    /// Incremented with every change of the settings, but not of the state.
    #[serde(default)]
    pub edition: u64,
    /// Incremented with every change of the row.
    pub revision: u64,
}

/// The state of auto-recharge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum AutoRechargeState {
    /// It waits for the balance to fall below the threshold.
    Ready,
    /// A purchase for this crossing is in progress.
    Charging {
        /// The purchase's transaction.
        transaction: EntryId,
        /// The number of credits.
        credits: Amount,
        /// The price; `None` for a charge that began before the price was stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        price: Option<Money>,
        /// The time when it began.
        at: DateTime<Utc>,
    },
    /// It waits until a given time.
    Paused {
        /// The reason.
        why: PauseReason,
        /// The time when it resumes.
        until: DateTime<Utc>,
    },
    /// It waits for a change of the account: a repayment, or more credits.
    Stopped {
        /// The reason.
        why: PauseReason,
    },
}

/// The reason why auto-recharge waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PauseReason {
    /// A payment failed.
    PaymentFailed,
    /// The month's limit of credits is reached.
    MonthlyLimit,
    /// The month's limit of money is reached.
    MonthlySpendLimit,
    /// The organisation's daily spending limit is reached.
    DailySpendLimit,
    /// One payment cannot bring the balance back to the threshold.
    PaymentLimit,
    /// There were too many charges within an hour.
    TooManyCharges,
    /// No package is on sale in the organisation's currency.
    NotOnSale,
    /// More credits are outstanding than a charge may settle.
    Debt,
    /// A payment is disputed.
    Disputed,
    /// A payment was refunded.
    Refunded,
}

impl PauseReason {
    /// The word in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PaymentFailed => "payment_failed",
            Self::MonthlyLimit => "monthly_limit",
            Self::MonthlySpendLimit => "monthly_spend_limit",
            Self::DailySpendLimit => "daily_spend_limit",
            Self::PaymentLimit => "payment_limit",
            Self::TooManyCharges => "too_many_charges",
            Self::NotOnSale => "not_on_sale",
            Self::Debt => "debt",
            Self::Disputed => "disputed",
            Self::Refunded => "refunded",
        }
    }

    /// Whether it ends when credits arrive from elsewhere. The wait after a failed payment always lasts its
    /// full time.
    pub(crate) fn ends_with_credits(self) -> bool {
        match self {
            Self::PaymentFailed | Self::Disputed | Self::Refunded => false,
            Self::MonthlyLimit
            | Self::MonthlySpendLimit
            | Self::DailySpendLimit
            | Self::PaymentLimit
            | Self::TooManyCharges
            | Self::NotOnSale
            | Self::Debt => true,
        }
    }
}

impl AutoRechargeState {
    /// A pause of an hour, so that the owner or an operator can resolve its cause.
    #[must_use]
    pub fn for_an_hour(why: PauseReason, now: DateTime<Utc>) -> Self {
        Self::Paused { why, until: hours_after(now, 1) }
    }

    /// A pause until the next day (UTC).
    #[must_use]
    pub fn for_this_day(why: PauseReason, now: DateTime<Utc>) -> Self {
        let next = now.date_naive().succ_opt().map(|day| day.and_time(NaiveTime::MIN).and_utc());
        Self::Paused { why, until: next.unwrap_or(DateTime::<Utc>::MAX_UTC) }
    }

    /// A pause until the next month (UTC).
    #[must_use]
    pub fn for_this_month(why: PauseReason, now: DateTime<Utc>) -> Self {
        Self::Paused { why, until: Period::of(now).next().start() }
    }

    /// The reason for the pause and its end, if it has one; `None` when it is not paused.
    #[must_use]
    pub fn pause(&self) -> Option<(PauseReason, Option<DateTime<Utc>>)> {
        match self {
            Self::Paused { why, until } => Some((*why, Some(*until))),
            Self::Stopped { why } => Some((*why, None)),
            Self::Ready | Self::Charging { .. } => None,
        }
    }
}

impl AutoRecharge {
    /// The credits bought in a month, and their price in minor units of the organisation's currency.
    #[must_use]
    pub fn bought_in(&self, month: Period) -> (Credits, u64) {
        if self.month == month { (self.bought, self.spent) } else { (Credits::ZERO, 0) }
    }

    /// The time until which [`BURST_MAX`] prevents another charge; `None` when it does not.
    pub(crate) fn burst_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let latest = self.recent.len().checked_sub(BURST_MAX)?;
        let until = hours_after(*self.recent.get(latest)?, BURST_HOURS);
        (now < until).then_some(until)
    }

    /// The time of the next scheduled check; `None` while it waits for a change of the account.
    #[must_use]
    pub fn check_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let soon = || now.checked_add_signed(Duration::try_seconds(LOOK_SECONDS)?);
        match &self.state {
            AutoRechargeState::Charging { .. } => soon(),
            // Nothing is charged then, so no check is needed.
            AutoRechargeState::Ready
            | AutoRechargeState::Paused { .. }
            | AutoRechargeState::Stopped { .. }
                if self.reversed().is_some() =>
            {
                None
            }
            AutoRechargeState::Ready | AutoRechargeState::Stopped { .. } => None,
            AutoRechargeState::Paused { until, .. } => {
                Some(*until).filter(|until| now < *until).or_else(soon)
            }
        }
    }

    /// The auto-recharge with a charge of `credits` for `price` begun as `transaction`.
    #[must_use]
    pub fn charging(&self, transaction: EntryId, credits: Amount, price: Money, now: DateTime<Utc>) -> Self {
        let month = Period::of(now);
        let (bought, spent) = self.bought_in(month);
        let mut recent = self.recent.clone();
        recent.push(now);
        let stale = recent.len().saturating_sub(BURST_MAX);
        Self {
            state: AutoRechargeState::Charging { transaction, credits, price: Some(price), at: now },
            bought: bought.plus(credits.into()).unwrap_or(Credits::MAX),
            spent: spent.saturating_add(price.amount()),
            month,
            recent: recent.split_off(stale),
            ..self.clone()
        }
    }

    /// The auto-recharge with its charge paid.
    #[must_use]
    pub fn paid(&self) -> Self {
        Self { state: AutoRechargeState::Ready, failures: 0, failure: None, ..self.clone() }
    }

    /// The auto-recharge with its charge refused: it is retried after one hour, then after six, and then
    /// switched off.
    #[must_use]
    pub fn refused(&self, decline: &Decline, now: DateTime<Utc>) -> Self {
        let failures = self.failures.saturating_add(1);
        let retry = usize::try_from(self.failures).ok().and_then(|failed| RETRY_HOURS.get(failed));
        let state = retry.map_or(AutoRechargeState::Ready, |hours| AutoRechargeState::Paused {
            why: PauseReason::PaymentFailed,
            until: hours_after(now, *hours),
        });
        let is_off = self.enabled && retry.is_none();
        Self {
            enabled: self.enabled && retry.is_some(),
            failures,
            failure: Some(decline.clone()),
            edition: self.edition.saturating_add(is_off.into()),
            ..self.without_charge(state)
        }
    }

    /// The auto-recharge with `state` in place of a charge that was never requested: no payment failed.
    #[must_use]
    pub fn abandoned(&self, state: AutoRechargeState) -> Self {
        let mut recent = self.recent.clone();
        if let AutoRechargeState::Charging { at, .. } = &self.state {
            recent.retain(|began| began != at);
        }
        Self { recent, ..self.without_charge(state) }
    }

    /// The auto-recharge with `state`, and without the charge in progress in the totals of its month.
    fn without_charge(&self, state: AutoRechargeState) -> Self {
        let (bought, spent) = match &self.state {
            AutoRechargeState::Charging { credits, price, at, .. } if Period::of(*at) == self.month => (
                self.bought.less((*credits).into()).unwrap_or_default(),
                self.spent.saturating_sub(price.map_or(0, Money::amount)),
            ),
            AutoRechargeState::Charging { .. }
            | AutoRechargeState::Ready
            | AutoRechargeState::Paused { .. }
            | AutoRechargeState::Stopped { .. } => (self.bought, self.spent),
        };
        Self { state, bought, spent, ..self.clone() }
    }

    /// The auto-recharge after a paid purchase by its owner: earlier failures no longer count, but the wait for
    /// the next attempt stays. `None` when nothing has failed.
    #[must_use]
    pub fn topped_up(&self) -> Option<Self> {
        (self.failures > 0).then(|| Self { failures: 0, ..self.clone() })
    }

    /// The reason why it waits until its owner sets it again: a payment is disputed or was refunded. `None`
    /// when neither is.
    #[must_use]
    pub fn reversed(&self) -> Option<PauseReason> {
        if self.disputed {
            return Some(PauseReason::Disputed);
        }
        self.refunded.then_some(PauseReason::Refunded)
    }

    /// The auto-recharge with a disputed payment.
    #[must_use]
    pub fn with_dispute(&self) -> Self {
        Self { disputed: true, edition: self.edition.saturating_add(1), ..self.clone() }
    }

    /// The auto-recharge with a refunded payment.
    #[must_use]
    pub fn with_refund(&self) -> Self {
        Self { refunded: true, edition: self.edition.saturating_add(1), ..self.clone() }
    }
}

fn hours_after(at: DateTime<Utc>, hours: i64) -> DateTime<Utc> {
    let wait = Duration::try_hours(hours).unwrap_or_default();
    at.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn no_credits(credits: &Credits) -> bool {
    credits.is_zero()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_nothing(number: &u64) -> bool {
    *number == 0
}
