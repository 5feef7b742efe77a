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

async fn found(fixture: &TestLedger, id: AccountId) -> Vec<&'static str> {
    let report = fixture.restarted().audit(id, now() + Duration::minutes(1), |_| ()).await.unwrap().unwrap();
    report.findings.iter().map(|finding| finding.problem.code()).collect()
}

/// A debit of 10 of which 4 were refunded, and a hold of 5.
async fn world() -> (TestLedger, AccountId) {
    let mut fixture = TestLedger::new().await;
    let id = fixture.open(30, now()).await;
    let debit = |account: &Account, attempt: &Attempt| consume(account, &charge(10), attempt);
    let debit = settle(&fixture.ledger, id, keyed("debit", "debit"), moment(now()), debit).await.unwrap();
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
    fixture.ledger.refund(id, &request, claim, moment(now())).await.unwrap().unwrap();
    let details = Details { expires_at: Some(now() + Duration::hours(1)), ..Details::default() };
    let claim = Claim { key: &key("hold"), fingerprint: &Fingerprint("hold".into()), details: &details };
    let held = |account: &Account, attempt: &Attempt| hold(account, &charge(5), attempt);
    fixture.ledger.settle(id, claim, moment(now()), held).await.unwrap();
    fixture.project().await;
    (fixture, id)
}

/// The remainder with `count` credits left of its first share.
fn with_left(remainder: &TableItem, count: u64) -> TableItem {
    let mut remainder = remainder.clone();
    let AttributeValue::L(rest) = remainder.get_mut("rest").unwrap() else { panic!("{remainder:?}") };
    let AttributeValue::M(share) = &mut rest[0] else { panic!("no share") };
    share.insert("n".to_owned(), AttributeValue::N(count.to_string()));
    remainder
}

#[tokio::test]
async fn a_changed_or_missing_remainder_is_named() {
    let (fixture, id) = world().await;
    assert_eq!(found(&fixture, id).await, Vec::<&str>::new());
    let remainder = fixture.items(&format!("POT#{id}#2024-01")).await[0].clone();
    for left in [0, 5, 7, 50] {
        fixture.write(&with_left(&remainder, left)).await;
        assert_eq!(found(&fixture, id).await, ["pot"], "{left}");
    }
    fixture.delete(&remainder).await;
    assert_eq!(found(&fixture, id).await, ["pot"]);
    fixture.write(&remainder).await;
    assert_eq!(found(&fixture, id).await, Vec::<&str>::new());
    let mut other = remainder.clone();
    other.insert("sk".to_owned(), AttributeValue::S("01HM6QY8R0Z3V9Q2T5W7X8Y9ZA".into()));
    fixture.write(&other).await;
    assert_eq!(found(&fixture, id).await, ["pot"]);
}

#[tokio::test]
async fn a_missing_account_is_a_finding() {
    let (fixture, id) = world().await;
    let account = fixture.items(&format!("ACCT#{id}")).await[0].clone();
    fixture.delete(&account).await;
    assert_eq!(found(&fixture, id).await, ["account"]);
    fixture.write(&account).await;
    assert_eq!(found(&fixture, id).await, Vec::<&str>::new());
}
