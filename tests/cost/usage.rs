//! The exact cost of reading usage.

use chrono::{DateTime, Days, TimeDelta, Utc};
use domain::{
    CellSum, Credits, Direction, EntryId, KeyId, LotId, Operation, PendingRollup, Period, Rollup, RollupLine,
    RollupLot, RollupPart, RollupRecord, RollupTally, Source,
};
use serde_json::json;
use tests::{TestLedger, World};

fn start() -> DateTime<Utc> {
    "2023-01-15T00:00:00Z".parse().unwrap()
}

/// Debits of an operation in an hour.
fn debits(sequence: u64, at: DateTime<Utc>, operation: u64) -> RollupRecord {
    let operation = Operation::try_from(format!("verification.kind_{operation}")).unwrap();
    let line = RollupLine { operation, service: None, key: Some(KeyId::new(start(), 1)), is_drawn: false };
    let lot = RollupLot { lot: LotId::Subscription(Period::of(at)), source: Source::Subscription };
    let sum = CellSum { calls: 250, credits: Credits::try_from(500).unwrap() };
    RollupRecord {
        sequence,
        id: EntryId::new(at, sequence.into()),
        parts: vec![RollupPart { line, lot: Some(lot), direction: Direction::Debit, sum }],
        customer: None,
        member: None,
    }
}

/// The read units of a year of rollups, each with some operations in some hours.
async fn year(operations: u64, hours: u8) -> f64 {
    let fixture = TestLedger::new().await;
    let id = fixture.open(100, start()).await;
    let (activity, meter) = fixture.metered_activity();
    for number in 0..365 {
        let midnight = start().checked_add_days(Days::new(number)).unwrap();
        let mut rollup = Rollup::default();
        for operation in 0..operations {
            (0..hours).for_each(|hour| rollup.add(hour, &debits(1, midnight, operation)));
        }
        let pending = PendingRollup { after: number, last: number + 1, day: midnight.date_naive(), rollup };
        let next = debits(number + 2, midnight + TimeDelta::days(1), 0);
        let totals = RollupTally::of(Some(pending), number + 1, &[next]).totals;
        activity.count_totals(id, &totals).await.unwrap();
    }
    meter.take();
    let days = start().date_naive()..=start().date_naive() + Days::new(364);
    assert_eq!(activity.day_rollups(id, days, None).await.unwrap().len(), 365);
    let units = meter.take();
    assert!(units.requests <= 4, "{units:?}");
    units.read
}

#[tokio::test]
async fn a_year_of_usage_is_read_in_few_units() {
    let mut units = Vec::new();
    for (operations, hours) in [(1, 1), (3, 10), (30, 24)] {
        units.push(year(operations, hours).await);
    }
    assert_eq!(units, [11.0, 38.0, 645.0]);
}

/// The account, its watermark, and one query; of a customer one item for each month; of all customers one query for each
/// month. A forecast also reads the organisation, for its currency.
#[tokio::test]
async fn usage_costs_what_it_reads() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    for (number, customer) in ["ann", "ben", "cid"].iter().enumerate() {
        let body = json!({ "operation": "aml.pep", "customerId": customer, "memberId": "eve" });
        world.consume(&org.key, &format!("k{number}"), &body).await.created();
    }
    world.settle().await;
    for (path, query, units) in [
        ("usage", "groupBy=operation", 3.0),
        ("usage", "groupBy=source,key", 3.0),
        ("usage", "customerId=ann", 4.0),
        ("usage", "groupBy=customer", 5.0),
        ("usage", "groupBy=member", 5.0),
        ("usage/forecast", "", 4.0),
    ] {
        let path = format!("/api/v3/credits/{path}");
        world.get(&format!("{path}?{query}"), &org.key).await.data();
        world.delete("/_local/capacity", "").await.data();
        world.get(&format!("{path}?{query}"), &org.key).await.data();
        let answer = world.get("/_local/capacity", "").await.data();
        assert_eq!(answer["routes"][format!("GET {path}")]["readUnits"], json!(units), "{path} {query}");
    }
}
