//! The audit compares remainders with the rows, and reports an account that is missing.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, Amount, Attempt, ClaimKey, Consume, Credits, Details, Fingerprint, IdempotencyKey,
    Operation, RefundReason, consume, hold,
};
use store::{Claim, Refund, RefundAuthority};
use tests::{TableItem, TestLedger, keyed, moment, settle};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn charge(count: u64) -> Consume {
    let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
    Consume { operation, amount: Credits::try_from(count).unwrap(), service: None }
}

async fn found(books: &TestLedger, id: AccountId) -> Vec<&'static str> {
    let report = books.restarted().audit(id, now() + Duration::minutes(1), |_| ()).await.unwrap().unwrap();
    report.findings.iter().map(|finding| finding.problem.code()).collect()
}

/// A debit of 10 of which 4 were refunded, and a hold of 5.
async fn world() -> (TestLedger, AccountId) {
    let mut books = TestLedger::new().await;
    let id = books.open(30, now()).await;
    let debit = |account: &Account, attempt: &Attempt| consume(account, &charge(10), attempt);
    let debit = settle(&books.ledger, id, keyed("debit", "debit"), moment(now()), debit).await.unwrap();
    let request = Refund {
        transaction: debit.receipt.entry.id,
        reason: RefundReason::TechnicalFailure,
        amount: Some(Amount::try_from(4).unwrap()),
        note: None,
        duplicate_of: None,
        by: RefundAuthority::Table,
    };
    let key = |name: &str| ClaimKey::Caller(IdempotencyKey::try_from(name.to_owned()).unwrap());
    let claim = Claim {
        key: &key("refund"),
        fingerprint: &Fingerprint("refund".into()),
        details: &Details::default(),
    };
    books.ledger.refund(id, &request, claim, moment(now())).await.unwrap().unwrap();
    let details = Details { expires_at: Some(now() + Duration::hours(1)), ..Details::default() };
    let claim = Claim { key: &key("hold"), fingerprint: &Fingerprint("hold".into()), details: &details };
    let held = |account: &Account, attempt: &Attempt| hold(account, &charge(5), attempt);
    books.ledger.settle(id, claim, moment(now()), held).await.unwrap();
    books.project().await;
    (books, id)
}

/// The remainder with `count` credits left of its first share.
fn with_left(pot: &TableItem, count: u64) -> TableItem {
    let mut pot = pot.clone();
    let AttributeValue::L(rest) = pot.get_mut("rest").unwrap() else { panic!("{pot:?}") };
    let AttributeValue::M(share) = &mut rest[0] else { panic!("no share") };
    share.insert("n".to_owned(), AttributeValue::N(count.to_string()));
    pot
}

#[tokio::test]
async fn a_changed_or_missing_remainder_is_named() {
    let (books, id) = world().await;
    assert_eq!(found(&books, id).await, Vec::<&str>::new());
    let pot = books.items(&format!("POT#{id}#2024-01")).await[0].clone();
    for left in [0, 5, 7, 50] {
        books.write(&with_left(&pot, left)).await;
        assert_eq!(found(&books, id).await, ["pot"], "{left}");
    }
    books.delete(&pot).await;
    assert_eq!(found(&books, id).await, ["pot"]);
    books.write(&pot).await;
    assert_eq!(found(&books, id).await, Vec::<&str>::new());
    let mut other = pot.clone();
    other.insert("sk".to_owned(), AttributeValue::S("01HM6QY8R0Z3V9Q2T5W7X8Y9ZA".into()));
    books.write(&other).await;
    assert_eq!(found(&books, id).await, ["pot"]);
}

#[tokio::test]
async fn a_missing_account_is_a_finding() {
    let (books, id) = world().await;
    let account = books.items(&format!("ACCT#{id}")).await[0].clone();
    books.delete(&account).await;
    assert_eq!(found(&books, id).await, ["account"]);
    books.write(&account).await;
    assert_eq!(found(&books, id).await, Vec::<&str>::new());
}
