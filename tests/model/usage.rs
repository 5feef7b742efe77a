//! Usage of a large customer is counted in many partitions.

use chrono::{DateTime, Utc};
use domain::{Credits, OperationUsage, Period, Reference, UsageRecord, UsageTally};
use store::UsageOf;
use tests::TestLedger;

fn at() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn spent(sequence: u64) -> UsageRecord {
    let used =
        OperationUsage { count: 1, credits: Credits::try_from(2).unwrap(), ..OperationUsage::default() };
    let customer = Reference::try_from(format!("cust_{}", sequence % 400)).ok();
    UsageRecord { sequence, at: at(), operation: "x".to_owned(), used, customer, member: None }
}

#[tokio::test]
async fn counters_of_a_month_are_spread_and_summed() {
    let fixture = TestLedger::new().await;
    let id = fixture.open(100, at()).await;
    let activity = fixture.activity();
    let debits: Vec<_> = (1..=1_000).map(spent).collect();
    let mut pending = None;
    for some in debits.chunks(100) {
        let tally = UsageTally::of(pending, some[0].sequence - 1, some);
        for _ in 0..2 {
            activity.count(id, some).await.unwrap();
            for total in &tally.totals {
                activity.count_total(id, total).await.unwrap();
            }
        }
        pending = tally.pending;
    }
    let mut counts = Vec::new();
    for shard in 0..16 {
        counts.push(fixture.activity_items(&format!("USE#{id}#2024-01#{shard:x}")).await.len());
    }
    assert_eq!(counts.iter().sum::<usize>(), 400);
    assert!(counts.iter().all(|count| (8..60).contains(count)), "{counts:?}");
    let month = activity.usage(id, Period::of(at()), pending.as_ref()).await.unwrap();
    assert!(month.is_complete);
    assert_eq!(month.days.len(), 401);
    let all = month.days.iter().find(|day| day.of == UsageOf::All).unwrap();
    assert_eq!((all.usage.0["x"].count, all.usage.0["x"].credits.get()), (1_000, 2_000));
    let customers = month.days.iter().filter(|day| day.of != UsageOf::All);
    assert_eq!(customers.map(|day| day.usage.0["x"].count).sum::<u64>(), 1_000);
}
