//! Sums of an account's transactions, as its rollups should have them. Only one day and one month are held at a time.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::NaiveDate;

use crate::activity::rollups::{Counted, MonthOf, month_of};
use domain::{DatedRecord, Period, Rollup, RollupRecord};

/// How many cells of customers' and members' rollups are held: about 100 MB. Where a month has more, the names are split,
/// and the rows are read once for each part.
const CELLS_MAX: usize = 250_000;

/// Some of the names, by their hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamePart {
    first: u64,
    last: u64,
}

impl NamePart {
    pub(super) const ALL: Self = Self { first: 0, last: u64::MAX };

    /// Whether it has the first names; one part alone compares the days.
    pub(super) fn is_first(self) -> bool {
        self.first == 0
    }

    pub(super) fn has(self, name: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        (self.first..=self.last).contains(&hasher.finish())
    }

    /// Its lower half.
    fn half(self) -> Self {
        let width = self.last.saturating_sub(self.first).checked_div(2).unwrap_or(0);
        Self { last: self.first.saturating_add(width), ..self }
    }

    /// The names after it; `None` after the last.
    pub(super) fn rest(self) -> Option<Self> {
        Some(Self { first: self.last.checked_add(1)?, last: u64::MAX })
    }
}

/// The sums of a day or of a month's names, once no further transaction belongs to them.
#[derive(Debug, Default)]
pub(super) struct ClosedSums {
    pub(super) day: Option<ClosedDay>,
    pub(super) names: Option<ClosedMonth>,
}

#[derive(Debug)]
pub(super) struct ClosedDay {
    pub(super) day: NaiveDate,
    pub(super) counted: Counted,
}

#[derive(Debug)]
pub(super) struct ClosedMonth {
    pub(super) month: Period,
    pub(super) names: BTreeMap<MonthOf, Counted>,
}

/// The sums so far.
#[derive(Debug)]
pub(super) struct RowSums {
    pub(super) part: NamePart,
    /// The number of the last transaction.
    pub(super) through: u64,
    /// The day of the last transaction.
    pub(super) day: Option<NaiveDate>,
    /// The day's transactions that its rollup should have.
    pub(super) counted: Counted,
    /// The day's transactions since: what should be pending.
    pub(super) pending: Rollup,
    /// The number of the last of them.
    last_pending: u64,
    /// The month's names.
    pub(super) names: BTreeMap<MonthOf, Counted>,
    cells: usize,
    /// Transactions that were read ahead and are not added yet.
    pub(super) ahead: VecDeque<RollupRecord>,
}

impl RowSums {
    pub(super) fn of(part: NamePart) -> Self {
        Self {
            part,
            through: 0,
            day: None,
            counted: Counted::default(),
            pending: Rollup::default(),
            last_pending: 0,
            names: BTreeMap::new(),
            cells: 0,
            ahead: VecDeque::new(),
        }
    }

    /// Adds the next transaction. It is pending if its number is above `pending_after`.
    pub(super) fn add(&mut self, record: RollupRecord, pending_after: u64) -> ClosedSums {
        self.count_pending_through(pending_after);
        let day = record.day_after(self.day);
        let closed = self.close_before(day);
        let hour = record.hour_of(day);
        (self.day, self.through) = (Some(day), record.sequence);
        if record.sequence <= pending_after {
            self.counted.rollup.add(hour, &record);
            self.counted.through = Some(record.sequence);
        } else {
            self.pending.add(hour, &record);
            self.last_pending = record.sequence;
        }
        let dated = DatedRecord { day, record };
        for of in MonthOf::of(&dated).filter(|of| self.part.has(&of.name)) {
            let counted = self.names.entry(of).or_default();
            let before = counted.rollup.cells.len();
            counted.count_record(&dated);
            self.cells = self.cells.saturating_add(counted.rollup.cells.len().saturating_sub(before));
        }
        if CELLS_MAX < self.cells {
            self.split();
        }
        closed
    }

    /// Counts what was pending, where all of it lies at or below a number.
    pub(super) fn count_pending_through(&mut self, number: u64) {
        if self.last_pending <= number && !self.pending.cells.is_empty() {
            self.counted.rollup.join(&std::mem::take(&mut self.pending));
            self.counted.through = Some(self.last_pending);
        }
    }

    fn close_before(&mut self, day: NaiveDate) -> ClosedSums {
        let Some(open) = self.day.filter(|open| *open < day) else { return ClosedSums::default() };
        self.count_pending_through(u64::MAX);
        let counted = std::mem::take(&mut self.counted);
        let (month, next) = (month_of(open), month_of(day));
        let names = (month < next).then(|| {
            self.cells = 0;
            ClosedMonth { month, names: std::mem::take(&mut self.names) }
        });
        ClosedSums { day: Some(ClosedDay { day: open, counted }), names }
    }

    /// Leaves half of the names to another part.
    fn split(&mut self) {
        self.part = self.part.half();
        let part = self.part;
        self.names.retain(|of, _| part.has(&of.name));
        self.cells = self.names.values().map(|counted| counted.rollup.cells.len()).sum();
    }

    /// The day's rollup with all transactions through `number`, which may be ahead; `None` if they were not read.
    pub(super) fn day_at(&self, day: NaiveDate, number: u64) -> Option<Rollup> {
        let mut rollup = Rollup::default();
        if self.day == Some(day) {
            rollup.join(&self.counted.rollup);
            rollup.join(&self.pending);
        }
        let mut known = self.day;
        for record in self.ahead.iter().take_while(|record| record.sequence <= number) {
            let of = record.day_after(known);
            known = Some(of);
            if of == day {
                rollup.add(record.hour_of(day), record);
            }
        }
        self.has_read(number).then_some(rollup)
    }

    /// The rollup of a customer or member with all transactions through `number`, which may be ahead.
    pub(super) fn month_at(&self, of: &MonthOf, number: u64) -> Option<Counted> {
        let mut counted = self.names.get(of).cloned().unwrap_or_default();
        let mut known = self.day;
        for record in self.ahead.iter().take_while(|record| record.sequence <= number) {
            let day = record.day_after(known);
            known = Some(day);
            let dated = DatedRecord { day, record: record.clone() };
            if MonthOf::of(&dated).any(|other| other == *of) {
                counted.count_record(&dated);
            }
        }
        (self.has_read(number) && counted.through.is_some()).then_some(counted)
    }

    /// Whether the transactions from the last one that was added through `number` were read.
    fn has_read(&self, number: u64) -> bool {
        let last = self.ahead.back().map_or(self.through, |last| last.sequence);
        (self.through..=last).contains(&number)
    }
}

#[cfg(test)]
#[path = "rollup_sums_tests.rs"]
mod tests;
