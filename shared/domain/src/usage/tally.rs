//! Transactions on their way into the rollups of their days: they are added up beside the watermark, and counted in a day's
//! rollup once the day ends or they take more room than the watermark has.

use chrono::{NaiveDate, Timelike};

use crate::{Rollup, RollupRecord};

/// The sums of transactions of one day that an account's watermark holds and the day's rollup does not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRollup {
    /// They are the sums of transactions after this number.
    pub after: u64,
    /// The number of the last transaction in them.
    pub last: u64,
    /// The day in UTC.
    pub day: NaiveDate,
    /// The sums by hour; at most [`PendingRollup::BYTES_MAX`] bytes, or those of one transaction.
    pub rollup: Rollup,
}

/// Sums of one day that are to be counted in the day's rollup.
///
/// Where they begin and end depends only on the account's transactions, not on how many of them are projected at once. So a
/// rollup that has some of them has all that were pending, and counts the rest by the transactions' numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayTotal {
    /// What was pending.
    pub pending: PendingRollup,
    /// The number of the last transaction that was examined for `pending`.
    pub through: u64,
    /// The transactions since, by rising numbers.
    pub records: Vec<RollupRecord>,
    /// The sums of all.
    sums: Rollup,
}

/// The sums of transactions, added to what was pending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollupTally {
    /// What the rollups of days are to count now, in order.
    pub totals: Vec<DayTotal>,
    /// What is pending afterwards.
    pub pending: Option<PendingRollup>,
    /// The transactions of customers and members, with their days.
    pub named: Vec<DatedRecord>,
}

/// A transaction with the day that counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatedRecord {
    /// The day in UTC.
    pub day: NaiveDate,
    /// The transaction.
    pub record: RollupRecord,
}

impl PendingRollup {
    /// The maximum number of bytes of the sums: with them, a watermark stays within one write unit, 1 KB.
    pub const BYTES_MAX: usize = 130;
}

impl RollupTally {
    /// Adds transactions, by rising numbers, to what is pending `through` a number. Transactions up to that number are
    /// ignored.
    #[must_use]
    pub fn of(pending: Option<PendingRollup>, through: u64, records: &[RollupRecord]) -> Self {
        let (mut totals, mut named) = (Vec::new(), Vec::new());
        let mut open = pending.map(|pending| DayTotal::after(pending, through));
        for record in records.iter().filter(|record| through < record.sequence) {
            let day = record.day_after(open.as_ref().map(|open| open.pending.day));
            if record.customer.is_some() || record.member.is_some() {
                named.push(DatedRecord { day, record: record.clone() });
            }
            let with = open.as_ref().filter(|open| open.pending.day == day).map(|open| open.with(record));
            match with.filter(|sums| sums.bytes() <= PendingRollup::BYTES_MAX) {
                Some(sums) => {
                    if let Some(open) = &mut open {
                        open.sums = sums;
                        open.records.push(record.clone());
                    }
                }
                None => totals.extend(open.replace(DayTotal::begin(record, day))),
            }
        }
        Self { totals, pending: open.map(DayTotal::into_pending), named }
    }
}

impl RollupRecord {
    /// The day that counts it: that of its id, or a later day of an earlier transaction.
    #[must_use]
    pub fn day_after(&self, known: Option<NaiveDate>) -> NaiveDate {
        let own = self.id.time().date_naive();
        known.map_or(own, |known| known.max(own))
    }

    /// The hour of `day` that counts it.
    #[must_use]
    pub fn hour_of(&self, day: NaiveDate) -> u8 {
        let is_late = self.id.time().date_naive() < day;
        if is_late { 0 } else { u8::try_from(self.id.time().hour()).unwrap_or_default() }
    }
}

impl DayTotal {
    /// What was pending `through` a number.
    fn after(pending: PendingRollup, through: u64) -> Self {
        Self { sums: pending.rollup.clone(), pending, through, records: vec![] }
    }

    /// The total of a day that begins with a transaction.
    fn begin(record: &RollupRecord, day: NaiveDate) -> Self {
        let through = record.sequence.saturating_sub(1);
        let pending = PendingRollup { after: through, last: through, day, rollup: Rollup::default() };
        let empty = Self { pending, through, records: vec![], sums: Rollup::default() };
        let sums = empty.with(record);
        Self { records: vec![record.clone()], sums, ..empty }
    }

    /// The sums with one more transaction.
    fn with(&self, record: &RollupRecord) -> Rollup {
        let mut sums = self.sums.clone();
        sums.add(record.hour_of(self.pending.day), record);
        sums
    }

    fn into_pending(self) -> PendingRollup {
        PendingRollup { last: self.last(), rollup: self.sums, ..self.pending }
    }

    /// The number of the last transaction in it.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.records.last().map_or(self.pending.last, |last| last.sequence)
    }

    /// A rollup that counts `counted` through the number `counted_through`, with what it lacks of this total; `None` when
    /// it lacks nothing.
    #[must_use]
    pub fn added_to(&self, counted: &Rollup, counted_through: u64) -> Option<Rollup> {
        let mut rollup = counted.clone();
        if counted_through <= self.pending.after {
            rollup.join(&self.pending.rollup);
        }
        let known = counted_through.max(self.through);
        for record in self.records.iter().filter(|record| known < record.sequence) {
            rollup.add(record.hour_of(self.pending.day), record);
        }
        (counted_through < self.last()).then_some(rollup)
    }
}

#[cfg(test)]
#[path = "../tests/rollup_tally.rs"]
mod tests;
