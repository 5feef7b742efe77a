use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::{Account, Allowance, Amount, Credits, Decline, EntryId, Period, Reference};

/// How many automatic charges there may be within an hour. A threshold that debits cross again and again
/// within minutes is a mistake somewhere, and a card is not to pay for it.
pub const BURST_MAX: usize = 5;
const BURST_HOURS: i64 = 1;

/// After how many seconds a charge that is under way is looked at again.
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
    /// It charges when fewer credits than this are available.
    pub threshold: Credits,
    /// How many credits a pack has. One charge buys as many packs as bring the balance back to the
    /// threshold.
    pub amount: Amount,
    /// The payment method, by the provider's name.
    pub payment_method: Reference,
    /// How many credits a calendar month (UTC) may bring; none for any number.
    pub monthly_limit: Option<Credits>,
    /// How far it is.
    pub state: RechargeState,
    /// How many payments have failed one after the other.
    pub failures: u32,
    /// The last failure's reason.
    pub failure: Option<Decline>,
    /// The month that `bought` belongs to.
    pub month: Period,
    /// Credits of this month's charges: those that were paid, and one that is under way.
    pub bought: Credits,
    /// When the latest charges began, oldest first; at most [`BURST_MAX`].
    pub recent: Vec<DateTime<Utc>>,
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
}

/// Why auto-recharge waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pause {
    /// A payment failed.
    PaymentFailed,
    /// The month's limit is reached.
    MonthlyLimit,
    /// There were too many charges within an hour.
    TooManyCharges,
}

impl Pause {
    /// In a word, as events have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PaymentFailed => "payment_failed",
            Self::MonthlyLimit => "monthly_limit",
            Self::TooManyCharges => "too_many_charges",
        }
    }
}

/// What an owner changes; what is left out keeps its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RechargeChange {
    /// See [`Recharge::enabled`].
    pub enabled: Option<bool>,
    /// See [`Recharge::threshold`].
    pub threshold: Option<Credits>,
    /// See [`Recharge::amount`].
    pub amount: Option<Amount>,
    /// See [`Recharge::payment_method`].
    pub payment_method: Option<Reference>,
    /// See [`Recharge::monthly_limit`]; `Some(None)` takes the limit away.
    pub monthly_limit: Option<Option<Credits>>,
}

/// What a change lacks or gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecharge {
    /// The first setting needs it.
    #[error("is needed before auto-recharge can be set up")]
    Missing(&'static str),
    /// Not even one pack fits.
    #[error("must be at least amount, or null for no limit")]
    LimitBelowAmount,
}

/// What auto-recharge wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing now.
    Rest,
    /// Buy that many credits, in one charge.
    Charge(Amount),
    /// Be in this state.
    Turn(RechargeState),
}

impl Recharge {
    /// The settings after `change`. Switched on, or left on, it begins afresh: without failures, at once.
    /// A charge under way is finished in any case.
    ///
    /// # Errors
    /// [`BadRecharge`].
    pub fn changed(
        known: Option<&Self>,
        change: &RechargeChange,
        now: DateTime<Utc>,
    ) -> Result<Self, BadRecharge> {
        let known_or = |name| BadRecharge::Missing(name);
        let threshold = change.threshold.or(known.map(|known| known.threshold));
        let amount = change.amount.or(known.map(|known| known.amount));
        let method = change.payment_method.clone().or(known.map(|known| known.payment_method.clone()));
        let changed = Self {
            enabled: change.enabled.or(known.map(|known| known.enabled)).unwrap_or(false),
            threshold: threshold.ok_or(known_or("threshold"))?,
            amount: amount.ok_or(known_or("amount"))?,
            payment_method: method.ok_or(known_or("paymentMethod"))?,
            monthly_limit: change.monthly_limit.unwrap_or(known.and_then(|known| known.monthly_limit)),
            state: match known.map(|known| &known.state) {
                Some(charging @ RechargeState::Charging { .. }) => charging.clone(),
                Some(RechargeState::Ready | RechargeState::Paused { .. }) | None => RechargeState::Ready,
            },
            failures: 0,
            failure: None,
            month: known.map_or(Period::of(now), |known| known.month),
            bought: known.map_or(Credits::ZERO, |known| known.bought),
            recent: known.map(|known| known.recent.clone()).unwrap_or_default(),
            revision: known.map_or(0, |known| known.revision),
        };
        if changed.monthly_limit.is_some_and(|limit| limit < changed.amount.into()) {
            return Err(BadRecharge::LimitBelowAmount);
        }
        Ok(changed)
    }

    /// Whether `account` has fallen below the threshold, so that it is worth a closer look.
    #[must_use]
    pub fn is_crossed(&self, account: &Account, now: DateTime<Utc>) -> bool {
        self.enabled
            && !account.frozen
            && account.allowance != Allowance::Unlimited
            && available(account, now) < self.threshold
    }

    /// Whether it waits for the balance to fall, and for nothing else.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.state == RechargeState::Ready
    }

    /// What it wants to do for `account` at `now`. One crossing gives one charge: whoever makes it turns
    /// the state to `Charging` first, by a conditional write.
    #[must_use]
    pub fn wish(&self, account: &Account, now: DateTime<Utc>) -> Wish {
        let paused = match &self.state {
            RechargeState::Charging { .. } => return Wish::Rest,
            RechargeState::Paused { until, .. } => Some(*until),
            RechargeState::Ready => None,
        };
        if !self.is_crossed(account, now) {
            // Credits came from elsewhere, or nothing is to be charged now: the next crossing is a new one.
            let has_enough = available(account, now) >= self.threshold;
            let is_over = paused.is_some_and(|until| has_enough || until <= now);
            return if is_over { Wish::Turn(RechargeState::Ready) } else { Wish::Rest };
        }
        if paused.is_some_and(|until| now < until) {
            return Wish::Rest;
        }
        if let Some(until) = self.burst_until(now) {
            return Wish::Turn(RechargeState::Paused { why: Pause::TooManyCharges, until });
        }
        match self.packs(account, now) {
            Some(credits) => Wish::Charge(credits),
            None => {
                let until = Period::of(now).next().start();
                Wish::Turn(RechargeState::Paused { why: Pause::MonthlyLimit, until })
            }
        }
    }

    /// When the burst guard lets go, if it holds.
    fn burst_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let latest = self.recent.len().checked_sub(BURST_MAX)?;
        let until = hours_after(*self.recent.get(latest)?, BURST_HOURS);
        (now < until).then_some(until)
    }

    /// As many credits, in whole packs, as bring the balance back to the threshold and settle what is
    /// outstanding; fewer where the month's limit says so, `None` when it leaves room for no pack.
    fn packs(&self, account: &Account, now: DateTime<Utc>) -> Option<Amount> {
        let pack = u64::from(self.amount);
        let gap = self.threshold.less(available(account, now)).unwrap_or_default();
        let gap = gap.get().saturating_add(account.post_paid.outstanding.get());
        let mut packs = gap.div_ceil(pack).max(1);
        if let Some(limit) = self.monthly_limit {
            let room = limit.less(self.bought_in(Period::of(now))).unwrap_or_default();
            packs = packs.min(room.get().checked_div(pack)?);
        }
        packs = packs.min(Amount::MAX.checked_div(pack)?);
        Amount::try_from(packs.checked_mul(pack)?).ok()
    }

    /// Half as many credits, in whole packs; `None` of a single pack.
    #[must_use]
    pub fn half(&self, credits: Amount) -> Option<Amount> {
        let pack = u64::from(self.amount);
        let packs = u64::from(credits).checked_div(pack)?.checked_div(2)?;
        Amount::try_from(packs.checked_mul(pack)?).ok()
    }

    fn bought_in(&self, month: Period) -> Credits {
        if self.month == month { self.bought } else { Credits::ZERO }
    }

    /// When it is to be looked at again if nobody wakes it before; none while it waits for the balance.
    #[must_use]
    pub fn look_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let soon = || now.checked_add_signed(Duration::try_seconds(LOOK_SECONDS)?);
        match &self.state {
            RechargeState::Ready => None,
            RechargeState::Charging { .. } => soon(),
            RechargeState::Paused { until, .. } => Some(*until).filter(|until| now < *until).or_else(soon),
        }
    }

    /// With a charge of `credits` begun as `transaction`.
    #[must_use]
    pub fn charging(&self, transaction: EntryId, credits: Amount, now: DateTime<Utc>) -> Self {
        let month = Period::of(now);
        let mut recent = self.recent.clone();
        recent.push(now);
        let stale = recent.len().saturating_sub(BURST_MAX);
        Self {
            state: RechargeState::Charging { transaction, credits, at: now },
            bought: self.bought_in(month).plus(credits.into()).unwrap_or(Credits::MAX),
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
        let bought = match &self.state {
            RechargeState::Charging { credits, at, .. } if Period::of(*at) == self.month => {
                self.bought.less((*credits).into()).unwrap_or_default()
            }
            RechargeState::Charging { .. } | RechargeState::Ready | RechargeState::Paused { .. } => {
                self.bought
            }
        };
        let state = retry.map_or(RechargeState::Ready, |hours| RechargeState::Paused {
            why: Pause::PaymentFailed,
            until: hours_after(now, *hours),
        });
        Self {
            enabled: self.enabled && retry.is_some(),
            state,
            failures,
            failure: Some(decline.clone()),
            bought,
            ..self.clone()
        }
    }
}

fn available(account: &Account, now: DateTime<Utc>) -> Credits {
    account.balance(now).available().unwrap_or(Credits::MAX)
}

fn hours_after(at: DateTime<Utc>, hours: i64) -> DateTime<Utc> {
    let wait = Duration::try_hours(hours).unwrap_or_default();
    at.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
