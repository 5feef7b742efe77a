//! Readers of an account whose rows are spread over shards find what they find where the rows have one shard.

use chrono::{DateTime, Duration, Utc};
use domain::{AccountId, Batch, Consume, Credits, Operation, RowShard, RowShards, batch};
use store::{StatementPlace, StatementQuery};
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
    let details = domain::Details::default();
    let key = store::system_key("repair").unwrap();
    let fingerprint = domain::Fingerprint("repair".to_owned());
    let claim = store::Claim::new(&key, &fingerprint, &details);
    let rebuilt = fixture.restarted().repair(id, claim, moment(at(60))).await.unwrap();
    assert!(matches!(rebuilt, store::Repaired::Made { .. }), "{rebuilt:?}");
    let account = fixture.restarted().account(id).await.unwrap().unwrap();
    assert_eq!(account.row_shards, RowShards::MAX);
}
