//! Tests of the tally of rollups.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;

use super::*;
use crate::{
    CellSum, Credits, Direction, EntryId, LotId, Operation, Period, RollupLine, RollupLot, RollupPart, Source,
};

fn at() -> DateTime<Utc> {
    "2024-01-15T23:00:00Z".parse().unwrap()
}

fn record(sequence: u64, hour: i64, operation: u8) -> RollupRecord {
    let line = RollupLine {
        operation: Operation::try_from(format!("an.operation.with.a.long.name.{operation}")).unwrap(),
        service: None,
        key: None,
        is_drawn: false,
    };
    let lot = RollupLot { lot: LotId::Subscription(Period::of(at())), source: Source::Subscription };
    let sum = CellSum { calls: 1, credits: Credits::try_from(sequence).unwrap() };
    RollupRecord {
        sequence,
        id: EntryId::new(at().checked_add_signed(Duration::hours(hour)).unwrap(), sequence.into()),
        parts: vec![RollupPart { line, lot: Some(lot), direction: Direction::Debit, sum }],
        customer: None,
        member: None,
    }
}

/// The rollups of days: a day is the latest of any transaction so far.
fn total(records: &[RollupRecord]) -> BTreeMap<NaiveDate, Rollup> {
    let mut days: BTreeMap<NaiveDate, Rollup> = BTreeMap::new();
    let mut latest = None;
    for record in records {
        let day = record.id.time().date_naive();
        let hour = if latest > Some(day) { 0 } else { u8::try_from(record.id.time().hour()).unwrap() };
        latest = latest.max(Some(day));
        days.entry(latest.unwrap()).or_default().add(hour, record);
    }
    days
}

/// Rollups and a watermark, as the store has them.
#[derive(Clone, Default)]
struct Counted {
    rollups: BTreeMap<NaiveDate, (u64, Rollup)>,
    pending: Option<PendingRollup>,
    through: u64,
}

impl Counted {
    /// Counts transactions; a crash after `writes` writes leaves the rest undone.
    fn count(&mut self, records: &[RollupRecord], writes: usize) {
        let tally = RollupTally::of(self.pending.clone(), self.through, records);
        for total in tally.totals.iter().take(writes) {
            let (through, rollup) = self.rollups.entry(total.pending.day).or_default();
            if let Some(more) = total.added_to(rollup, *through) {
                (*through, *rollup) = (total.last(), more);
            }
        }
        if let Some(last) = records.last().filter(|_| tally.totals.len() < writes) {
            self.through = last.sequence.max(self.through);
            self.pending = tally.pending;
        }
    }

    fn total(&self) -> BTreeMap<NaiveDate, Rollup> {
        let mut days: BTreeMap<_, _> =
            self.rollups.iter().map(|(day, (_, rollup))| (*day, rollup.clone())).collect();
        if let Some(PendingRollup { day, rollup, .. }) = &self.pending {
            days.entry(*day).or_default().join(rollup);
        }
        days
    }
}

#[test]
fn a_watermark_holds_one_day_and_few_bytes() {
    let spent = [record(1, 0, 1), record(2, 0, 2), record(3, 0, 1), record(4, 0, 3), record(5, 1, 3)];
    let tally = RollupTally::of(None, 0, &spent);
    let numbers = |total: &DayTotal| total.records.iter().map(|record| record.sequence).collect::<Vec<_>>();
    assert_eq!(tally.totals.iter().map(numbers).collect::<Vec<_>>(), [vec![1, 2, 3], vec![4]]);
    let pending = tally.pending.unwrap();
    assert_eq!((pending.after, pending.day.to_string().as_str()), (4, "2024-01-16"));
}

/// A statement is a range of the hash chain, so a day has no transaction of an earlier day's number.
#[test]
fn a_late_transaction_counts_in_the_day_that_has_begun() {
    let mut late = record(3, 0, 1);
    late.customer = crate::Reference::try_from("cust_1".to_owned()).ok();
    let tally = RollupTally::of(None, 0, &[record(1, 0, 1), record(2, 2, 1), late]);
    let pending = tally.pending.unwrap();
    assert_eq!((pending.day.to_string(), pending.after, pending.last), ("2024-01-16".to_owned(), 1, 3));
    let slots: Vec<_> =
        pending.rollup.cells.iter().map(|(cell, sum)| (cell.slot, sum.credits.get())).collect();
    assert_eq!(slots, [(0, 3), (1, 2)]);
    let named: Vec<_> =
        tally.named.iter().map(|dated| (dated.day.to_string(), dated.record.sequence)).collect();
    assert_eq!(named, [("2024-01-16".to_owned(), 3)]);
}

#[test]
fn a_full_rollup_counts_other_operations_as_others() {
    let mut rollup = Rollup::default();
    for place in 0..Rollup::CELLS_MAX + 5 {
        let mut one = record(1, 0, 0);
        one.parts[0].line.operation = Operation::try_from(format!("x.{place}")).unwrap();
        rollup.add(3, &one);
    }
    assert_eq!(rollup.cells.len(), Rollup::CELLS_MAX + 1);
    // The ledger's own operations, and cells that are there, keep their names.
    for (operation, is_drawn) in [("credit.hold", false), ("x.7", false), ("x.new", true)] {
        let mut one = record(2, 0, 0);
        one.parts[0].line.operation = Operation::try_from(operation.to_owned()).unwrap();
        one.parts[0].line.is_drawn = is_drawn;
        rollup.add(3, &one);
    }
    let calls = |operation: &str, is_drawn| {
        let found = rollup
            .cells
            .iter()
            .find(|(cell, _)| cell.line.operation.as_str() == operation && cell.line.is_drawn == is_drawn);
        found.map(|(_, sum)| sum.calls)
    };
    let found = [("credit.hold", false), ("x.7", false), ("other", false), ("other", true), ("x.new", true)]
        .map(|(operation, is_drawn)| calls(operation, is_drawn));
    assert_eq!(found, [Some(1), Some(2), Some(5), Some(1), None]);
    let others =
        rollup.cells.iter().find(|(cell, _)| cell.line.operation.as_str() == Rollup::OTHERS).unwrap();
    assert_eq!((others.0.slot, others.1.calls), (3, 5));
    assert_eq!(rollup.cells.values().map(|sum| sum.credits.get()).sum::<u64>(), 8_011);
}

proptest! {
    /// Whatever is projected together, repeated, or interrupted between two writes: every transaction counts once.
    #[test]
    fn every_transaction_counts_once(
        steps in prop::collection::vec((-30i64..30, 0u8..4, 1u64..3), 1..40),
        tries in prop::collection::vec((1usize..9, 0usize..4), 1..60),
    ) {
        let mut sequence = 0u64;
        let records: Vec<_> = steps.into_iter().map(|(hour, operation, step)| {
            sequence = u64::saturating_add(sequence, step);
            record(sequence, hour, operation)
        }).collect();
        let mut counted = Counted::default();
        for (many, writes) in tries {
            let before = records.iter().filter(|record| record.sequence <= counted.through).count();
            // One that was counted before is projected again.
            let some = &records[before.saturating_sub(1)..before.saturating_add(many).min(records.len())];
            counted.count(some, writes);
        }
        counted.count(&records, usize::MAX);
        prop_assert_eq!(counted.total(), total(&records));
    }

    /// A process that read the watermark before others moved it counts nothing again.
    #[test]
    fn a_late_process_counts_nothing_again(
        steps in prop::collection::vec((-30i64..30, 0u8..4), 2..40),
        cut in 0usize..40,
        writes in 0usize..5,
    ) {
        let records: Vec<_> =
            (1..).zip(steps).map(|(sequence, (hour, operation))| record(sequence, hour, operation)).collect();
        let cut = cut.checked_rem(records.len()).unwrap_or(0);
        let mut counted = Counted::default();
        counted.count(&records[..cut], usize::MAX);
        let mut late = counted.clone();
        counted.count(&records, usize::MAX);
        late.rollups = counted.rollups.clone();
        late.count(&records, writes);
        counted.rollups = late.rollups;
        prop_assert_eq!(counted.total(), total(&records));
    }

    /// The estimate of a rollup's bytes never falls, so where a total ends does not depend on what is examined together.
    #[test]
    fn a_rollup_never_takes_fewer_bytes(steps in prop::collection::vec((0i64..30, 0u8..4), 1..40)) {
        let (mut rollup, mut bytes) = (Rollup::default(), 0);
        for (sequence, (hour, operation)) in (1..).zip(steps) {
            let record = record(sequence, hour, operation);
            rollup.add(u8::try_from(record.id.time().hour()).unwrap(), &record);
            prop_assert!(bytes <= rollup.bytes());
            bytes = rollup.bytes();
        }
    }
}
