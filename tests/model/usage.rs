//! The rollups of a busy account are spread over many partitions, and count every transaction once.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use domain::{
    AccountId, CellSum, Credits, Direction, EntryId, LotId, Operation, Period, Reference, RollupLine,
    RollupPart, RollupRecord, RollupTally, RowShards,
};
use store::{RollupKind, RollupsOf};
use tests::TestLedger;

fn at() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// A debit of two credits for one of 400 customers, with its row in one of four shards.
fn record(sequence: u64) -> RollupRecord {
    let operation = Operation::try_from("x".to_owned()).unwrap();
    let sum = CellSum { calls: 1, credits: Credits::try_from(2).unwrap() };
    let line = RollupLine { operation, service: None, key: None, is_drawn: false };
    let random = u128::from(sequence) << 120;
    RollupRecord {
        sequence,
        id: EntryId::above(EntryId::FIRST, at(), random, RowShards::try_from(4).unwrap()),
        parts: vec![RollupPart { line, lot: None, direction: Direction::Debit, sum }],
        customer: Reference::try_from(format!("cust_{}", sequence % 401)).ok(),
        member: None,
    }
}

/// What the rollups of an account say that every lot has gained, where that is not nothing. What a plan without a limit
/// paid for came from no lot.
pub(crate) async fn moved_by_rollups(
    fixture: &TestLedger,
    id: AccountId,
    now: DateTime<Utc>,
) -> HashMap<String, i64> {
    let watermark = fixture.ledger.projected_through(id).await.unwrap();
    // The first renewal took effect when its month began.
    let days = Period::of(id.org.time()).start().date_naive()..=now.date_naive();
    let pending = watermark.notified().pending.clone();
    let days = fixture.activity().day_rollups(id, days, pending.as_ref()).await.unwrap();
    let mut moved: HashMap<String, i64> = HashMap::new();
    for (cell, sum) in days.values().flat_map(|day| &day.cells).filter(|(cell, _)| !cell.line.is_drawn) {
        let Some(lot) = cell.lot.map(|lot| lot.lot).filter(|lot| !matches!(lot, LotId::Unlimited(_))) else {
            continue;
        };
        *moved.entry(lot.to_string()).or_default() += cell.direction.signed(sum.credits);
    }
    moved.retain(|_, amount| *amount != 0);
    moved
}

#[tokio::test]
async fn rollups_of_a_month_are_spread_and_summed() {
    let fixture = TestLedger::new().await;
    let id = fixture.open(100, at()).await;
    let activity = fixture.activity();
    let debits: Vec<_> = (1..=1_203).map(record).collect();
    let mut pending = None;
    for some in debits.chunks(100) {
        let tally = RollupTally::of(pending, some[0].sequence - 1, some);
        for _ in 0..2 {
            activity.count(id, &tally.named).await.unwrap();
            activity.count_totals(id, &tally.totals).await.unwrap();
        }
        pending = tally.pending;
    }
    let mut items = Vec::new();
    for shard in ["", "#1", "#2", "#3"] {
        items.push(fixture.activity_items(&format!("USE#{id}#2024-01#c{shard}")).await.len());
    }
    assert!(items.iter().all(|count| (200..=401).contains(count)), "{items:?}");
    let day = at().date_naive();
    let days = activity.day_rollups(id, day..=day, pending.as_ref()).await.unwrap();
    let sum = days[&day]
        .cells
        .values()
        .fold((0, 0), |(calls, credits), sum| (calls + sum.calls, credits + sum.credits.get()));
    assert_eq!(sum, (1_203, 2_406));
    let of = RollupsOf {
        account: id,
        shards: RowShards::try_from(4).unwrap(),
        kind: RollupKind::Customer,
        months: vec![Period::of(at()).previous(), Period::of(at())],
    };
    let months = activity.month_rollups(&of).await.unwrap();
    assert!(months.is_complete);
    let mut calls: BTreeMap<&str, u64> = BTreeMap::new();
    for named in &months.rollups {
        let counted: u64 = named.rollup.cells.values().map(|sum| sum.calls).sum();
        *calls.entry(&named.name).or_default() += counted;
    }
    assert_eq!(calls.len(), 401);
    assert!(calls.values().all(|calls| *calls == 3));
    let one = activity.rollups_named(&of, "cust_7").await.unwrap();
    assert_eq!(one.iter().flat_map(|named| named.rollup.cells.values()).map(|sum| sum.calls).sum::<u64>(), 3);
}

/// Records that are delivered again in other pieces, and a watermark that is read before its sums are counted elsewhere.
#[tokio::test]
async fn what_is_counted_already_counts_once() {
    let fixture = TestLedger::new().await;
    let id = fixture.open(100, at()).await;
    let activity = fixture.activity();
    let of_one = |sequence| {
        let customer = Reference::try_from("cust".to_owned()).ok();
        let id = EntryId::new(at(), sequence);
        RollupRecord { customer, id, ..record(u64::try_from(sequence).unwrap()) }
    };
    let records: Vec<_> = (1..=4).map(of_one).collect();
    for some in [&records[..3], &records[..], &records[1..2]] {
        activity.count(id, &RollupTally::of(None, 0, some).named).await.unwrap();
    }
    let of = RollupsOf {
        account: id,
        shards: RowShards::ONE,
        kind: RollupKind::Customer,
        months: vec![Period::of(at())],
    };
    let calls = |cells: &domain::Rollup| cells.cells.values().map(|sum| sum.calls).sum::<u64>();
    let named = activity.rollups_named(&of, "cust").await.unwrap();
    assert_eq!(named.iter().map(|named| calls(&named.rollup)).collect::<Vec<_>>(), [4]);

    let pending = RollupTally::of(None, 0, &records).pending;
    let tomorrow = RollupRecord { id: EntryId::new(at() + chrono::Duration::days(1), 5), ..of_one(5) };
    let counted = RollupTally::of(pending.clone(), 4, &[tomorrow]);
    let day = at().date_naive();
    for _ in 0..2 {
        let days = activity.day_rollups(id, day..=day, pending.as_ref()).await.unwrap();
        assert_eq!(calls(&days[&day]), 4);
        activity.count_totals(id, &counted.totals).await.unwrap();
    }
}

/// A rollup's sums of a third of a megabyte, without any cell: 5,000 names of operations, and no keys, lots and cells.
fn large_sums() -> Vec<u8> {
    let name = [&[64], "x".repeat(64).as_bytes(), &[0]].concat();
    [&[1, 0x88, 0x27], name.repeat(5_000).as_slice(), &[0, 0, 0]].concat()
}

/// What is read of customers for one answer is bounded, and the answer says so. The customers that were read are there.
#[tokio::test]
async fn more_rollups_than_one_answer_reads_are_left_out() {
    let fixture = TestLedger::new().await;
    let id = fixture.open(100, at()).await;
    let of = |months| RollupsOf { account: id, shards: RowShards::ONE, kind: RollupKind::Customer, months };
    let months = vec![Period::of(at()), Period::of(at()).next()];
    let sums = AttributeValue::B(Blob::new(large_sums()));
    let read = async || fixture.activity().month_rollups(&of(months.clone())).await.unwrap();
    for number in 0..110 {
        let text = |text: String| AttributeValue::S(text);
        let item = [
            ("pk", text(format!("USE#{id}#2024-01#c"))),
            ("sk", text(format!("cust_{number}"))),
            ("through", AttributeValue::N("1".to_owned())),
            ("sums", sums.clone()),
        ];
        fixture.write_activity(&item.map(|(name, value)| (name.to_owned(), value)).into()).await;
        if number == 50 {
            let some = read().await;
            assert_eq!((some.rollups.len(), some.is_complete), (51, true));
        }
    }
    let some = read().await;
    assert!(!some.is_complete && (95..110).contains(&some.rollups.len()), "{}", some.rollups.len());
}
