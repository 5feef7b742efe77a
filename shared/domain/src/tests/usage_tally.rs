//! Tests of the tally of usage.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;

use super::*;
use crate::{Credits, OperationUsage};

fn at() -> DateTime<Utc> {
    "2024-01-15T23:00:00Z".parse().unwrap()
}

fn record(sequence: u64, hour: i64, operation: u8) -> UsageRecord {
    let credits = Credits::try_from(sequence).unwrap();
    UsageRecord {
        sequence,
        at: at().checked_add_signed(Duration::hours(hour)).unwrap(),
        operation: format!("op.{operation}"),
        used: OperationUsage { count: 1, credits, ..OperationUsage::default() },
        customer: None,
        member: None,
    }
}

fn total(records: &[UsageRecord]) -> BTreeMap<NaiveDate, Usage> {
    let mut days: BTreeMap<NaiveDate, Usage> = BTreeMap::new();
    records.iter().for_each(|record| days.entry(record.at.date_naive()).or_default().add(record));
    days
}

/// Counters and a watermark, as the store has them.
#[derive(Clone, Default)]
struct Counted {
    counters: BTreeMap<NaiveDate, (u64, Usage)>,
    pending: Option<PendingUsage>,
    through: u64,
}

impl Counted {
    /// Counts transactions; a crash after `writes` writes leaves the rest undone.
    fn count(&mut self, records: &[UsageRecord], writes: usize) {
        let tally = UsageTally::of(self.pending.clone(), self.through, records);
        for total in tally.totals.iter().take(writes) {
            let (through, usage) = self.counters.entry(total.pending.day).or_default();
            if let Some(more) = total.added_to(usage, *through) {
                (*through, *usage) = (total.last(), more);
            }
        }
        if let Some(last) = records.last().filter(|_| tally.totals.len() < writes) {
            self.through = last.sequence.max(self.through);
            self.pending = tally.pending;
        }
    }

    fn total(&self) -> BTreeMap<NaiveDate, Usage> {
        let mut days: BTreeMap<_, _> =
            self.counters.iter().map(|(day, (_, usage))| (*day, usage.clone())).collect();
        if let Some(PendingUsage { day, usage, .. }) = &self.pending {
            days.entry(*day).or_default().join(usage);
        }
        days
    }
}

#[test]
fn a_watermark_holds_one_day_and_two_operations() {
    let spent = [record(1, 0, 1), record(2, 0, 2), record(3, 0, 1), record(4, 0, 3), record(5, 1, 3)];
    let tally = UsageTally::of(None, 0, &spent);
    let numbers = |total: &DayTotal| total.records.iter().map(|record| record.sequence).collect::<Vec<_>>();
    assert_eq!(tally.totals.iter().map(numbers).collect::<Vec<_>>(), [vec![1, 2, 3], vec![4]]);
    let pending = tally.pending.unwrap();
    assert_eq!((pending.after, pending.day.to_string().as_str()), (4, "2024-01-16"));
}

proptest! {
    /// Whatever is projected together, repeated, or interrupted between two writes: every transaction counts once.
    #[test]
    fn every_transaction_counts_once(
        steps in prop::collection::vec((0i64..30, 0u8..4, 1u64..3), 1..40),
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
        steps in prop::collection::vec((0i64..30, 0u8..4), 2..40),
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
        late.counters = counted.counters.clone();
        late.count(&records, writes);
        counted.counters = late.counters;
        prop_assert_eq!(counted.total(), total(&records));
    }
}
