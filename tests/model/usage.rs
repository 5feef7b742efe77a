//! Usage of a large customer is counted in many partitions; what was counted in a single one before still counts.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use domain::{Credits, OperationUsage, Period, Reference, UsageRecord};
use store::UsageOf;
use tests::{TableItem, TestLedger};

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
    for some in debits.chunks(100) {
        activity.count(id, some).await.unwrap();
        activity.count(id, some).await.unwrap();
    }
    let mut counts = Vec::new();
    for shard in 0..16 {
        counts.push(fixture.activity_items(&format!("USE#{id}#2024-01#{shard:x}")).await.len());
    }
    assert_eq!(counts.iter().sum::<usize>(), 401);
    assert!(counts.iter().all(|count| (8..60).contains(count)), "{counts:?}");
    let month = activity.usage(id, Period::of(at())).await.unwrap();
    assert!(month.is_complete);
    assert_eq!(month.days.len(), 401);
    let all = month.days.iter().find(|day| day.of == UsageOf::All).unwrap();
    assert_eq!((all.usage.0["x"].count, all.usage.0["x"].credits.get()), (1_000, 2_000));
    let customers = month.days.iter().filter(|day| day.of != UsageOf::All);
    assert_eq!(customers.map(|day| day.usage.0["x"].count).sum::<u64>(), 1_000);
}

#[tokio::test]
async fn counters_from_before_they_were_spread_still_count() {
    let fixture = TestLedger::new().await;
    let id = fixture.open(100, at()).await;
    let activity = fixture.activity();
    let debits: Vec<_> = (1..=50).map(spent).collect();
    activity.count(id, &debits[..40]).await.unwrap();
    for shard in 0..16 {
        for item in fixture.activity_items(&format!("USE#{id}#2024-01#{shard:x}")).await {
            fixture.delete_activity(&item).await;
            let mut old: TableItem = item.clone();
            old.insert("pk".to_owned(), AttributeValue::S(format!("USE#{id}#2024-01")));
            fixture.write_activity(&old).await;
        }
    }
    for _ in 0..2 {
        activity.count(id, &debits[30..]).await.unwrap();
    }
    let month = activity.usage(id, Period::of(at())).await.unwrap();
    let counted = |of: &UsageOf| month.days.iter().find(|day| day.of == *of).unwrap().usage.0["x"].count;
    assert_eq!(counted(&UsageOf::All), 50);
    let names: BTreeSet<_> = month.days.iter().map(|day| day.of.clone()).collect();
    assert_eq!(names.len(), month.days.len());
    assert_eq!(counted(&UsageOf::Customer("cust_7".to_owned())), 1);
    assert_eq!(counted(&UsageOf::Customer("cust_45".to_owned())), 1);
}
