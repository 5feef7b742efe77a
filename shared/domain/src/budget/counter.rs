//! How much of a budget is used: the model of its counter.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::BudgetCharge;
use crate::{Credits, EntryId};

/// How many charges of a counter may be open at once. A charge is open until it is known that its attempt has ended.
pub const OPEN_MAX: usize = 64;

/// The counter of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetCounter {
    /// The start of the period that it counts; `None` before the first charge.
    pub period: Option<DateTime<Utc>>,
    /// The credits that were charged in this period, with those of open charges.
    pub used: Credits,
    /// Charges whose attempts may not have ended, by the attempt.
    pub open: BTreeMap<EntryId, OpenCharge>,
    /// Attempts with this id or an older one can charge nothing any more.
    pub fence: EntryId,
}

/// A charge whose attempt may not have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenCharge {
    /// The credits.
    pub amount: Credits,
    /// When it was made, in system time.
    pub wall: DateTime<Utc>,
}

/// What has to be done with a charge that a counter does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterStep {
    /// It has been taken.
    Charged,
    /// Send it again: there is room.
    Again,
    /// The attempt is fenced off; it needs a new id.
    Fenced,
    /// The counter is in a later period, which began at this instant.
    Later(DateTime<Utc>),
    /// There is no room, even if all open charges are given back.
    Full,
    /// There may be room once open charges have ended.
    Waits,
    /// Too many charges are open.
    Crowded,
}

impl Default for BudgetCounter {
    fn default() -> Self {
        Self { period: None, used: Credits::ZERO, open: BTreeMap::new(), fence: EntryId::FIRST }
    }
}

impl BudgetCounter {
    /// The credits used in the period that begins at `start`.
    #[must_use]
    pub fn used_in(&self, start: DateTime<Utc>) -> Credits {
        if self.period == Some(start) { self.used } else { Credits::ZERO }
    }

    /// The credits of this period whose attempts have ended for certain.
    #[must_use]
    pub fn settled(&self) -> Credits {
        let open = self.open.values().fold(0u64, |sum, open| sum.saturating_add(open.amount.get()));
        Credits::try_from(self.used.get().saturating_sub(open)).unwrap_or_default()
    }

    /// What to do with a charge of an attempt that the counter has not taken, or has taken without an answer.
    #[must_use]
    pub fn step(&self, charge: &BudgetCharge, attempt: EntryId) -> CounterStep {
        if self.open.contains_key(&attempt) {
            return CounterStep::Charged;
        }
        if attempt <= self.fence {
            return CounterStep::Fenced;
        }
        if let Some(later) = self.period.filter(|period| charge.time.start < *period) {
            return CounterStep::Later(later);
        }
        let fits = |used: Credits| {
            let limit = charge.limit.unwrap_or(Credits::MAX);
            used.plus(charge.amount).is_some_and(|sum| sum <= limit)
        };
        let is_new = self.period != Some(charge.time.start);
        if is_new {
            return if fits(Credits::ZERO) { CounterStep::Again } else { CounterStep::Full };
        }
        if !fits(self.settled()) {
            CounterStep::Full
        } else if !fits(self.used) {
            CounterStep::Waits
        } else if OPEN_MAX <= self.open.len() {
            CounterStep::Crowded
        } else {
            CounterStep::Again
        }
    }
}
