//! Usage on its way into the counters of its days: it is added up beside the watermark and counted in a day's counter
//! once the day ends or another operation does not fit.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{Usage, UsageRecord};

/// The usage of one day that an account's watermark holds and the day's counter does not have yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingUsage {
    /// It is the usage of transactions after this number.
    #[serde(rename = "a")]
    pub after: u64,
    /// The number of the last transaction in it.
    #[serde(rename = "l")]
    pub last: u64,
    /// The day in UTC.
    #[serde(rename = "d")]
    pub day: NaiveDate,
    /// The usage; at most [`PendingUsage::OPERATIONS_MAX`] operations.
    #[serde(rename = "u")]
    pub usage: Usage,
}

/// Usage of one day that is to be counted in the day's counter.
///
/// Where it begins and ends depends only on the account's transactions, not on how many of them are projected at once. So a
/// counter that has some of it has all that was pending, and counts the rest by the transactions' numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayTotal {
    /// What was pending.
    pub pending: PendingUsage,
    /// The number of the last transaction that was examined for `pending`.
    pub through: u64,
    /// The usage since, by rising numbers.
    pub records: Vec<UsageRecord>,
}

/// The usage of transactions, added to what was pending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageTally {
    /// What the counters of days are to count now, in order.
    pub totals: Vec<DayTotal>,
    /// What is pending afterwards.
    pub pending: Option<PendingUsage>,
}

impl PendingUsage {
    /// The maximum number of operations: with them, a watermark stays within one write unit, 1 KB.
    pub const OPERATIONS_MAX: usize = 2;
}

impl UsageTally {
    /// Adds the usage of transactions, by rising numbers, to what is pending `through` a number. Transactions up to that
    /// number are ignored.
    #[must_use]
    pub fn of(pending: Option<PendingUsage>, through: u64, spent: &[UsageRecord]) -> Self {
        let mut totals = Vec::new();
        let mut open = pending.map(|pending| DayTotal { pending, through, records: vec![] });
        for record in spent.iter().filter(|record| through < record.sequence) {
            totals.extend(open.take_if(|open| !open.has_room_for(record)));
            open.get_or_insert_with(|| DayTotal::before(record)).records.push(record.clone());
        }
        Self { totals, pending: open.map(DayTotal::into_pending) }
    }
}

impl DayTotal {
    fn before(record: &UsageRecord) -> Self {
        let through = record.sequence.saturating_sub(1);
        let day = record.at.date_naive();
        let pending = PendingUsage { after: through, last: through, day, usage: Usage::default() };
        Self { pending, through, records: vec![] }
    }

    fn has_room_for(&self, record: &UsageRecord) -> bool {
        let known = self.pending.usage.0.keys();
        let mut operations: BTreeSet<&str> = known.map(String::as_str).collect();
        operations.extend(self.records.iter().map(|record| record.operation.as_str()));
        operations.insert(&record.operation);
        self.pending.day == record.at.date_naive() && operations.len() <= PendingUsage::OPERATIONS_MAX
    }

    fn into_pending(self) -> PendingUsage {
        let last = self.last();
        let mut pending = PendingUsage { last, ..self.pending };
        self.records.iter().for_each(|record| pending.usage.add(record));
        pending
    }

    /// The number of the last transaction in it.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.records.last().map_or(self.pending.last, |last| last.sequence)
    }

    /// The usage that a counter lacks which counts `counted` through the number `counted_through`; `None` when it lacks
    /// nothing.
    #[must_use]
    pub fn added_to(&self, counted: &Usage, counted_through: u64) -> Option<Usage> {
        let mut usage = counted.clone();
        if counted_through <= self.pending.after {
            usage.join(&self.pending.usage);
        }
        let known = counted_through.max(self.through);
        self.records.iter().filter(|record| known < record.sequence).for_each(|record| usage.add(record));
        (counted_through < self.last()).then_some(usage)
    }
}

#[cfg(test)]
#[path = "../tests/usage_tally.rs"]
mod tests;
