use chrono::{DateTime, Duration, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Amount, Credits, Decline, EntryId, Money, Period, Reference, Service};

/// How many automatic charges there may be within an hour. A threshold that debits cross again and again
/// within minutes is a mistake somewhere, and a card is not to pay for it.
pub const BURST_MAX: usize = 5;
const BURST_HOURS: i64 = 1;

/// How many seconds after it began a charge under way is looked at again.
const LOOK_SECONDS: i64 = 60;

/// After how many hours a failed payment is tried again: the first time, the second time. After one
/// failure more it is switched off.
const RETRY_HOURS: [i64; 2] = [1, 6];

/// Auto-recharge of one account (contract, rule 6; seed: "Auto-Recharge"): what its owner has set, and how
/// far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recharge {
    /// Whether it may charge.
    pub enabled: bool,
    /// It charges when a debit can spend fewer credits than this.
    pub threshold: Credits,
    /// Whose debits count: those of this service, or those without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// How many credits a pack has. One charge buys as many packs as bring the balance back to the
    /// threshold.
    pub amount: Amount,
    /// The payment method, by the provider's name.
    pub payment_method: Reference,
    /// How many credits a calendar month (UTC) may bring; none for any number.
    pub monthly_limit: Option<Credits>,
    /// What a calendar month may cost; the usual limit when its owner has said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_spend_limit: Option<Money>,
    /// Up to how many credits of debt a charge may settle. Where more is owed, nothing is charged.
    #[serde(default, skip_serializing_if = "no_credits")]
    pub debt_limit: Credits,
    /// How far it is.
    pub state: RechargeState,
    /// A payment is disputed: nothing is charged until the owner sets auto-recharge anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disputed: bool,
    /// A payment was refunded: nothing is charged until the owner sets auto-recharge anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refunded: bool,
    /// How many payments have failed one after the other.
    pub failures: u32,
    /// The last failure's reason.
    pub failure: Option<Decline>,
    /// The month that `bought` and `spent` belong to.
    pub month: Period,
    /// Credits of this month's charges: those that were paid, and one that is under way.
    pub bought: Credits,
    /// What they cost, in minor units of the organisation's currency.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub spent: u64,
    /// When the latest charges began, oldest first; at most [`BURST_MAX`].
    pub recent: Vec<DateTime<Utc>>,
    /// Grows whenever the settings change, and stays where only the progress does: what a change was made of.
    #[serde(default)]
    pub edition: u64,
    /// Grows with every change of the row.
    pub revision: u64,
}

/// How far auto-recharge is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum RechargeState {
    /// It waits for the balance to fall below the threshold.
    Ready,
    /// A purchase is under way for this crossing.
    Charging {
        /// The purchase.
        transaction: EntryId,
        /// How many credits it buys.
        credits: Amount,
        /// For how much; not known of a charge that began before this was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        price: Option<Money>,
        /// When it began.
        at: DateTime<Utc>,
    },
    /// It waits for a time.
    Paused {
        /// Why.
        why: Pause,
        /// It goes on at this instant.
        until: DateTime<Utc>,
    },
    /// It waits for the account to change: a debt to be paid, credits to arrive.
    Stopped {
        /// Why.
        why: Pause,
    },
}

/// Why auto-recharge waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pause {
    /// A payment failed.
    PaymentFailed,
    /// The month's limit of credits is reached.
    MonthlyLimit,
    /// The month's limit of money is reached.
    MonthlySpendLimit,
    /// The organisation's purchases of the day cost all that they may.
    DailySpendLimit,
    /// One payment cannot bring the balance back to the threshold.
    PaymentLimit,
    /// There were too many charges within an hour.
    TooManyCharges,
    /// No package is on sale in the organisation's currency.
    NotOnSale,
    /// More is owed than a charge may settle.
    Debt,
    /// A payment is disputed.
    Disputed,
    /// A payment was refunded.
    Refunded,
}

impl Pause {
    /// In a word, as events have it.
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

    /// Whether credits that come from elsewhere end it. The wait after a failed payment lasts its time, whatever
    /// happens meanwhile.
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

impl RechargeState {
    /// Waiting for an hour, for what its owner or ours may mend meanwhile.
    #[must_use]
    pub fn for_an_hour(why: Pause, now: DateTime<Utc>) -> Self {
        Self::Paused { why, until: hours_after(now, 1) }
    }

    /// Waiting for the next day (UTC).
    #[must_use]
    pub fn for_this_day(why: Pause, now: DateTime<Utc>) -> Self {
        let next = now.date_naive().succ_opt().map(|day| day.and_time(NaiveTime::MIN).and_utc());
        Self::Paused { why, until: next.unwrap_or(DateTime::<Utc>::MAX_UTC) }
    }

    /// Waiting for the next month.
    #[must_use]
    pub fn for_this_month(why: Pause, now: DateTime<Utc>) -> Self {
        Self::Paused { why, until: Period::of(now).next().start() }
    }

    /// Why it waits, and until when where it is for a time; none while it does not.
    #[must_use]
    pub fn pause(&self) -> Option<(Pause, Option<DateTime<Utc>>)> {
        match self {
            Self::Paused { why, until } => Some((*why, Some(*until))),
            Self::Stopped { why } => Some((*why, None)),
            Self::Ready | Self::Charging { .. } => None,
        }
    }
}

impl Recharge {
    /// What was bought in a month: credits, and minor units of the organisation's currency.
    #[must_use]
    pub fn bought_in(&self, month: Period) -> (Credits, u64) {
        if self.month == month { (self.bought, self.spent) } else { (Credits::ZERO, 0) }
    }

    /// When the burst guard lets go, if it holds.
    pub(crate) fn burst_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let latest = self.recent.len().checked_sub(BURST_MAX)?;
        let until = hours_after(*self.recent.get(latest)?, BURST_HOURS);
        (now < until).then_some(until)
    }

    /// When it is to be looked at again if nobody wakes it before; none while it waits for the account.
    #[must_use]
    pub fn look_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let soon = || now.checked_add_signed(Duration::try_seconds(LOOK_SECONDS)?);
        match &self.state {
            RechargeState::Charging { .. } => soon(),
            // Nothing is charged then, so there is nothing to look for.
            RechargeState::Ready | RechargeState::Paused { .. } | RechargeState::Stopped { .. }
                if self.reversed().is_some() =>
            {
                None
            }
            RechargeState::Ready | RechargeState::Stopped { .. } => None,
            RechargeState::Paused { until, .. } => Some(*until).filter(|until| now < *until).or_else(soon),
        }
    }

    /// With a charge of `credits` for `price` begun as `transaction`.
    #[must_use]
    pub fn charging(&self, transaction: EntryId, credits: Amount, price: Money, now: DateTime<Utc>) -> Self {
        let month = Period::of(now);
        let (bought, spent) = self.bought_in(month);
        let mut recent = self.recent.clone();
        recent.push(now);
        let stale = recent.len().saturating_sub(BURST_MAX);
        Self {
            state: RechargeState::Charging { transaction, credits, price: Some(price), at: now },
            bought: bought.plus(credits.into()).unwrap_or(Credits::MAX),
            spent: spent.saturating_add(price.amount()),
            month,
            recent: recent.split_off(stale),
            ..self.clone()
        }
    }

    /// With its charge paid.
    #[must_use]
    pub fn paid(&self) -> Self {
        Self { state: RechargeState::Ready, failures: 0, failure: None, ..self.clone() }
    }

    /// With its charge refused: it tries again after an hour, then after six, and then switches itself
    /// off.
    #[must_use]
    pub fn refused(&self, decline: &Decline, now: DateTime<Utc>) -> Self {
        let failures = self.failures.saturating_add(1);
        let retry = usize::try_from(self.failures).ok().and_then(|failed| RETRY_HOURS.get(failed));
        let state = retry.map_or(RechargeState::Ready, |hours| RechargeState::Paused {
            why: Pause::PaymentFailed,
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

    /// In that state in place of a charge that was never asked for: no payment has failed.
    #[must_use]
    pub fn abandoned(&self, state: RechargeState) -> Self {
        let mut recent = self.recent.clone();
        if let RechargeState::Charging { at, .. } = &self.state {
            recent.retain(|began| began != at);
        }
        Self { recent, ..self.without_charge(state) }
    }

    /// In that state, without what the charge under way counts for in its month.
    fn without_charge(&self, state: RechargeState) -> Self {
        let (bought, spent) = match &self.state {
            RechargeState::Charging { credits, price, at, .. } if Period::of(*at) == self.month => (
                self.bought.less((*credits).into()).unwrap_or_default(),
                self.spent.saturating_sub(price.map_or(0, Money::amount)),
            ),
            RechargeState::Charging { .. }
            | RechargeState::Ready
            | RechargeState::Paused { .. }
            | RechargeState::Stopped { .. } => (self.bought, self.spent),
        };
        Self { state, bought, spent, ..self.clone() }
    }

    /// After a purchase that its owner has made and paid: what failed before it does not count. The wait for the next
    /// attempt stays what it is. None where nothing has failed.
    #[must_use]
    pub fn topped_up(&self) -> Option<Self> {
        (self.failures > 0).then(|| Self { failures: 0, ..self.clone() })
    }

    /// Why it waits until its owner sets it anew, for money of a payment has left or may leave; none while it does
    /// not.
    #[must_use]
    pub fn reversed(&self) -> Option<Pause> {
        if self.disputed {
            return Some(Pause::Disputed);
        }
        self.refunded.then_some(Pause::Refunded)
    }

    /// With a payment disputed.
    #[must_use]
    pub fn with_dispute(&self) -> Self {
        Self { disputed: true, edition: self.edition.saturating_add(1), ..self.clone() }
    }

    /// With a payment refunded.
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
