//! Readers of an account whose rows are spread over shards find what they find where the rows have one shard.

use chrono::{DateTime, Duration, Utc};
use domain::{
    AccountId, Batch, ClaimKey, Consume, Credits, Details, Fingerprint, IdempotencyKey, Operation, Reference,
    Refund, RefundAuthority, RefundReason, RowShard, RowShards, batch, consume,
};
use store::{
    ChainPosition, ChainRange, Claim, ExcerptPage, Repaired, StatementPlace, StatementQuery, system_key,
};
use tests::{TestLedger, keyed, moment, settle};

fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn at(second: i64) -> DateTime<Utc> {
    start() + Duration::seconds(second)
}

/// An account in sixteen shards with a batch of a hundred in each of four seconds.
async fn spread() -> (TestLedger, AccountId) {
    let fixture = TestLedger::new().await;
    let id = fixture.open_spread(1_000, start(), RowShards::MAX).await;
    let operation = Operation::try_from("x".to_owned()).unwrap();
    let one = Consume { operation, amount: Credits::try_from(1).unwrap(), service: None };
    let request = Batch { items: vec![Some(one); 100], atomic: true };
    for second in [10, 20, 30, 40] {
        let decide = |account: &_, attempt: &_| batch(account, &request, attempt);
        settle(&fixture.ledger, id, keyed(&format!("k{second}"), "x"), moment(at(second)), decide)
            .await
            .unwrap();
    }
    (fixture, id)
}

#[tokio::test]
async fn a_balance_of_the_past_is_that_of_all_shards() {
    let (fixture, id) = spread().await;
    let account = fixture.ledger.account(id).await.unwrap().unwrap();
    for (second, expected) in [(5, 1), (15, 101), (25, 201), (35, 301), (45, 401)] {
        let (balance, number) = fixture.ledger.balance_at(&account, at(second)).await.unwrap().unwrap();
        let left = 1_000 - (expected - 1);
        assert_eq!((number, balance.spendable().map(Credits::get)), (expected, Some(left)), "{second}");
    }
}

#[tokio::test]
async fn a_list_up_to_a_time_has_the_rows_of_all_shards() {
    let (fixture, id) = spread().await;
    for (second, expected) in [(15, 101), (25, 201), (3_600, 401)] {
        let query = StatementQuery { to: Some(at(second)), ..StatementQuery::default() };
        let (mut numbers, mut cursor) = (Vec::new(), None);
        loop {
            let place = StatementPlace { cursor, limit: 30 };
            let page = fixture.ledger.statement(id, &query, place, at(50)).await.unwrap();
            numbers.extend(page.receipts.iter().map(|receipt| receipt.sequence));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(numbers, (1..=expected).rev().collect::<Vec<_>>(), "{second}");
    }
}

#[tokio::test]
async fn an_audit_from_a_time_begins_with_the_first_row_of_all_shards() {
    let (mut fixture, id) = spread().await;
    fixture.project().await;
    for (second, expected) in [(5, 2), (15, 102), (25, 202), (35, 302)] {
        let range = ChainRange { from: Some(ChainPosition::Time(at(second))), to: None };
        let page = ExcerptPage { cursor: None, limit: 20 };
        let excerpt = fixture.ledger.excerpt(id, range, page, at(50)).await.unwrap();
        assert_eq!((excerpt.from, excerpt.rows.len()), (expected, 20), "{second}");
    }
}

/// Pairs of equal debits, each second of which is refunded as a duplicate: its twin is found in whichever shard it is.
#[tokio::test]
async fn a_twin_in_another_shard_is_found() {
    let fixture = TestLedger::new().await;
    let id = fixture.open_spread(1_000, start(), RowShards::MAX).await;
    let operation = Operation::try_from("x".to_owned()).unwrap();
    let one = Consume { operation, amount: Credits::try_from(1).unwrap(), service: None };
    for pair in 0..10 {
        let resource_id = Reference::try_from(format!("resource {pair}")).ok();
        let details = Details { resource_id, ..Details::default() };
        let mut made = Vec::new();
        for twin in 0..2 {
            let key = ClaimKey::Caller(IdempotencyKey::try_from(format!("k{pair}-{twin}")).unwrap());
            let fingerprint = Fingerprint("x".to_owned());
            let claim = Claim::new(&key, &fingerprint, &details);
            let decide = |account: &_, attempt: &_| consume(account, &one, attempt);
            let settled =
                fixture.ledger.settle(id, claim, moment(at(pair * 2 + twin)), decide).await.unwrap();
            made.push(settled.receipt.entry.id);
        }
        let request = Refund {
            transaction: made[1],
            amount: None,
            reason: RefundReason::DuplicateOperation,
            duplicate_of: None,
            note: None,
            by: RefundAuthority::Operator,
        };
        let key = ClaimKey::Caller(IdempotencyKey::try_from(format!("r{pair}")).unwrap());
        let (fingerprint, none) = (Fingerprint("r".to_owned()), Details::default());
        let claim = Claim::new(&key, &fingerprint, &none);
        let refunded = fixture.ledger.refund(id, &request, claim, moment(at(60 + pair))).await.unwrap();
        assert!(refunded.is_some(), "{pair}");
    }
}

/// A row that was moved to another shard of its month is no row of the ledger.
#[tokio::test]
async fn a_row_in_the_wrong_shard_is_named() {
    let (mut fixture, id) = spread().await;
    fixture.project().await;
    let report = async |fixture: &TestLedger| {
        fixture.restarted().audit(id, at(50), |_| ()).await.unwrap().unwrap().findings.len()
    };
    assert_eq!(report(&fixture).await, 0);
    let rows = fixture.rows(id, at(50)).await;
    let spread = rows.iter().map(|row| row.entry.id).find(|id| id.row_shard() != RowShard::FIRST).unwrap();
    let shard = spread.row_shard();
    let items = fixture.items(&format!("TXN#{id}#2024-01#{shard}")).await;
    let from = items.into_iter().find(|item| item["sk"].as_s() == Ok(&spread.bare())).unwrap();
    let mut row = from.clone();
    let other = if shard.to_string() == "7" { "8" } else { "7" };
    let moved = format!("TXN#{id}#2024-01#{other}");
    row.insert("pk".to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(moved));
    fixture.write(&row).await;
    fixture.delete(&from).await;
    assert_eq!(report(&fixture).await, 2);
    assert_eq!(fixture.ledger.transaction(id, spread).await.unwrap(), None);
}

/// The item of an account is gone: it is rebuilt from the rows of all shards, and has all of them afterwards.
#[tokio::test]
async fn a_lost_item_of_a_spread_account_is_rebuilt_with_all_shards() {
    let (mut fixture, id) = spread().await;
    fixture.project().await;
    let item = fixture.items(&format!("ACCT#{id}")).await.remove(0);
    fixture.delete(&item).await;
    let (key, details) = (system_key("repair").unwrap(), Details::default());
    let fingerprint = Fingerprint("repair".to_owned());
    let claim = Claim::new(&key, &fingerprint, &details);
    let rebuilt = fixture.restarted().repair(id, claim, moment(at(60))).await.unwrap();
    assert!(matches!(rebuilt, Repaired::Made { .. }), "{rebuilt:?}");
    let account = fixture.restarted().account(id).await.unwrap().unwrap();
    assert_eq!(account.row_shards, RowShards::MAX);
}
