//! A returned part whose credits move nevertheless: it is recorded, and the remainder is correct.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, Amount, Attempt, ClaimKey, Consume, Credits, Details, Fingerprint, IdempotencyKey,
    Operation, Receipt, Refund, RefundAuthority, RefundReason, consume,
};
use store::{Claim, DrawdownResult, Ledger, Unsettled};
use tests::{TestLedger, WriteFault, keyed, moment, settle};

fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

async fn refund(ledger: &Ledger, id: AccountId, debit: &Receipt, part: (&str, u64)) -> DrawdownResult {
    try_refund(ledger, id, debit, part, start()).await.unwrap()
}

async fn try_refund(
    ledger: &Ledger,
    id: AccountId,
    debit: &Receipt,
    (name, amount): (&str, u64),
    at: DateTime<Utc>,
) -> Result<DrawdownResult, Unsettled> {
    let request = Refund {
        transaction: debit.entry.id,
        reason: RefundReason::TechnicalFailure,
        amount: Amount::try_from(amount).ok(),
        note: None,
        duplicate_of: None,
        by: RefundAuthority::Table,
    };
    let key = ClaimKey::Caller(IdempotencyKey::try_from(name.to_owned()).unwrap());
    let claim = Claim { key: &key, fingerprint: &Fingerprint(name.to_owned()), details: &Details::default() };
    Ok(ledger.refund(id, &request, claim, moment(at)).await?.unwrap())
}

/// A refund of 6 of 10 credits has moved them and is about to record that, when its part is returned, as by a
/// refused process; and other refunds may have taken `meanwhile`.
async fn returned_part_that_moved(meanwhile: u64) -> (TestLedger, AccountId, DrawdownResult) {
    let fixture = TestLedger::new().await;
    let id = fixture.open(25, start()).await;
    let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
    let charge = Consume { operation, amount: Credits::try_from(10).unwrap(), service: None };
    let debit = |account: &Account, attempt: &Attempt| consume(account, &charge, attempt);
    let debit =
        settle(&fixture.ledger, id, keyed("debit", "debit"), moment(start()), debit).await.unwrap().receipt;
    // A second debit, so that the month has enough usage for both refunds.
    let other = |account: &Account, attempt: &Attempt| consume(account, &charge, attempt);
    settle(&fixture.ledger, id, keyed("other", "other"), moment(start()), other).await.unwrap();
    let faults = fixture.faults.clone().unwrap();
    // The writes: scheduled job, remainder, claim, account, row, and the remainder again.
    faults.arm(5, WriteFault::Late);
    let process = fixture.restarted();
    let late = async { refund(&process, id, &debit, ("late", 6)).await };
    let others = async {
        while faults.writes() < 6 {
            tokio::task::yield_now().await;
        }
        let mut remainder = fixture.items(&format!("POT#{id}#2024-01")).await[0].clone();
        assert!(remainder.remove("open").is_some());
        let Some(AttributeValue::L(rest)) = remainder.get_mut("rest") else { panic!("{remainder:?}") };
        let Some(AttributeValue::M(share)) = rest.first_mut() else { panic!("no share") };
        assert_eq!(
            share.insert("n".to_owned(), AttributeValue::N("10".to_owned())),
            Some(AttributeValue::N("4".to_owned()))
        );
        remainder.insert("revision".to_owned(), AttributeValue::N("2".to_owned()));
        fixture.write(&remainder).await;
        if meanwhile > 0 {
            refund(&fixture.restarted(), id, &debit, ("meanwhile", meanwhile)).await;
        }
        faults.let_through();
    };
    let (taken, ()) = tokio::join!(late, others);
    (fixture, id, taken)
}

#[tokio::test]
async fn a_returned_part_that_moves_is_recorded() {
    for meanwhile in [0, 3] {
        let (mut fixture, id, taken) = returned_part_that_moved(meanwhile).await;
        let debit = taken.settled.receipt.details.drawn.as_ref().unwrap().of;
        let remainder = fixture.ledger.remainder(id, debit).await.unwrap().unwrap();
        assert_eq!(
            (remainder.left().get(), remainder.drawn().get()),
            (4 - meanwhile, 6 + meanwhile),
            "{meanwhile}"
        );
        assert!(remainder.open.is_none() && remainder.has_made(taken.settled.receipt.entry.id));
        fixture.project().await;
        let report =
            fixture.restarted().audit(id, start() + Duration::minutes(1), |_| ()).await.unwrap().unwrap();
        assert_eq!((report.findings.as_slice(), report.added_up), ([].as_slice(), true), "{meanwhile}");
    }
}

/// If other refunds have taken the returned part, more was moved than there was: the remainder is empty, and the
/// audit names the row.
#[tokio::test]
async fn credits_that_were_moved_twice_are_a_finding() {
    let (mut fixture, id, taken) = returned_part_that_moved(7).await;
    let debit = taken.settled.receipt.details.drawn.as_ref().unwrap().of;
    let remainder = fixture.ledger.remainder(id, debit).await.unwrap().unwrap();
    assert_eq!((remainder.left().get(), remainder.drawn().get(), remainder.made.len()), (0, 13, 2));
    fixture.project().await;
    let report =
        fixture.restarted().audit(id, start() + Duration::minutes(1), |_| ()).await.unwrap().unwrap();
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.problem.code()).collect();
    assert!(codes.contains(&"overdrawn"), "{codes:?}");
}

/// The ninth refund first moves eight completed ones to a page. Whatever write is lost, no part is lost and none is
/// there twice.
#[tokio::test]
async fn completed_parts_are_kept_whatever_is_lost() {
    for kind in WriteFault::EACH {
        for number in 0..7 {
            let case = format!("write {number}, {kind:?}");
            let mut fixture = TestLedger::new().await;
            let id = fixture.open(25, start()).await;
            let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
            let charge = Consume { operation, amount: Credits::try_from(20).unwrap(), service: None };
            let debit = |account: &Account, attempt: &Attempt| consume(account, &charge, attempt);
            let debit =
                settle(&fixture.ledger, id, keyed("debit", "debit"), moment(start()), debit).await.unwrap();
            let debit = debit.receipt;
            for part in 0..8 {
                refund(&fixture.ledger, id, &debit, (&format!("part-{part}"), 1)).await;
            }
            let faults = fixture.faults.clone().unwrap();
            let process = fixture.restarted();
            faults.arm(number, kind);
            drop(try_refund(&process, id, &debit, ("ninth", 1), start()).await);
            assert!(faults.writes() > number, "{case}");
            faults.arm(usize::MAX, kind);
            let mut at = start();
            for _ in 0..4 {
                fixture.project().await;
                at += Duration::seconds(5);
                if try_refund(&fixture.restarted(), id, &debit, ("ninth", 1), at).await.is_ok() {
                    break;
                }
            }
            let ninth = try_refund(&fixture.restarted(), id, &debit, ("ninth", 1), at).await.unwrap();
            assert!(ninth.settled.replayed, "{case}");
            refund(&fixture.restarted(), id, &debit, ("tenth", 1)).await;
            let remainder = fixture.ledger.remainder(id, debit.entry.id).await.unwrap().unwrap();
            let made: std::collections::BTreeSet<_> = remainder.made.iter().map(|made| made.id).collect();
            assert_eq!((remainder.made.len(), made.len(), remainder.left().get()), (10, 10, 10), "{case}");
            fixture.project().await;
            let end = start() + Duration::minutes(1);
            let report = fixture.restarted().audit(id, end, |_| ()).await.unwrap().unwrap();
            assert_eq!((report.findings.as_slice(), report.added_up), ([].as_slice(), true), "{case}");
        }
    }
}

/// The alarm counts the text that is logged, in the logs of every function that moves parts.
#[test]
fn the_alarm_counts_the_logged_text() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let words = "a cancelled part was posted nevertheless";
    assert!(read("shared/store/src/write/drawdown.rs").contains(&format!("\"{words}\"")));
    let template = read("template.yaml");
    let filter = format!("FilterPattern: '\"{words}\"'");
    assert_eq!(template.matches(&filter).count(), template.matches("MetricName: PartsPutBack,").count());
    let functions = [
        "Admin",
        "Balance",
        "Clock",
        "Consume",
        "Export",
        "Exports",
        "Holds",
        "Recharge",
        "Reconcile",
        "Refund",
        "Renewal",
        "Settings",
        "Subscription",
    ];
    for function in functions {
        let watched = format!("LogGroupName: !Ref {function}Log\n      {filter}");
        assert_eq!(template.matches(&watched).count(), 1, "{function}");
    }
    assert_eq!(template.matches(&filter).count(), functions.len());
    assert!(template.contains("  PartsPutBackAlarm:\n    Type: AWS::CloudWatch::Alarm\n"));
}
