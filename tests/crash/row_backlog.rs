//! Rows that a process could not write: it writes them before it charges their account again.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{AccountId, Consume, Operation, consume};
use store::{Fault, Ledger, Settled, Unsettled};
use tests::{TestLedger, WriteFault, keyed, moment, settle};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// The writes of a debit's row and their repetitions by the SDK, after the claim and the debit.
const ROW: Range<usize> = 2..5;

async fn debit(process: &Ledger, id: AccountId, key: &str) -> Result<Settled, Unsettled> {
    let operation = Operation::try_from("x".to_owned()).unwrap();
    let request = Consume { operation, amount: 1.try_into().unwrap(), service: None };
    let decide = |account: &_, attempt: &_| consume(account, &request, attempt);
    settle(process, id, keyed(key, key), moment(now()), decide).await
}

/// How many rows the account has, and how many entries.
async fn rows_and_entries(fixture: &TestLedger, id: AccountId) -> (usize, u64) {
    let rows = fixture.items(&format!("TXN#{id}#2024-01")).await.len();
    (rows, fixture.restarted().account(id).await.unwrap().unwrap().sequence)
}

/// A request is refused before it is charged while a row of an earlier one is missing; its key stays free, and the request
/// succeeds once the row is written.
#[tokio::test]
async fn a_process_writes_missing_rows_before_it_charges_again() {
    for fault in [WriteFault::Throttled, WriteFault::RequestLost, WriteFault::ServerError] {
        let fixture = TestLedger::new().await;
        let id = fixture.open(10, now()).await;
        let faults = fixture.faults.clone().unwrap();
        let process = fixture.restarted();
        faults.arm_all(ROW, fault);
        debit(&process, id, "first").await.unwrap();
        assert_eq!(rows_and_entries(&fixture, id).await, (1, 2), "{fault:?}");
        faults.arm_all(0..3, fault);
        let refused = debit(&process, id, "second").await;
        assert!(matches!(refused, Err(Unsettled::Failed(Fault::Backlogged))), "{fault:?}: {refused:?}");
        assert_eq!((rows_and_entries(&fixture, id).await, faults.writes()), ((1, 2), 3), "{fault:?}");
        faults.arm(usize::MAX, fault);
        debit(&process, id, "second").await.unwrap();
        assert_eq!((rows_and_entries(&fixture, id).await, faults.writes()), ((3, 3), 4), "{fault:?}");
        // Nothing is left to be written first.
        debit(&process, id, "third").await.unwrap();
        assert_eq!((rows_and_entries(&fixture, id).await, faults.writes()), ((4, 4), 7), "{fault:?}");
    }
}

/// A request that was charged, and has its row, gets its answer also while rows of later requests are missing.
#[tokio::test]
async fn a_repetition_is_answered_while_rows_are_missing() {
    let fixture = TestLedger::new().await;
    let id = fixture.open(10, now()).await;
    let faults = fixture.faults.clone().unwrap();
    let process = fixture.restarted();
    let first = debit(&process, id, "first").await.unwrap();
    faults.arm_all(ROW, WriteFault::Throttled);
    debit(&process, id, "second").await.unwrap();
    for (key, is_answered) in [("first", true), ("second", false), ("third", false)] {
        faults.arm_all(0..3, WriteFault::Throttled);
        let sent = debit(&process, id, key).await;
        let replayed = sent.as_ref().ok().filter(|sent| sent.replayed).map(|sent| &sent.receipt.entry);
        assert_eq!(replayed, is_answered.then_some(&first.receipt.entry), "{key}: {sent:?}");
        assert!(is_answered || matches!(sent, Err(Unsettled::Failed(Fault::Backlogged))), "{key}: {sent:?}");
    }
    assert_eq!(rows_and_entries(&fixture, id).await, (2, 3));
}

/// While one request writes the missing rows, others of the account are refused without a write.
#[tokio::test]
async fn missing_rows_are_written_by_one_request_at_a_time() {
    let fixture = TestLedger::new().await;
    let id = fixture.open(10, now()).await;
    let faults = fixture.faults.clone().unwrap();
    let process = Arc::new(fixture.restarted());
    faults.arm_all(ROW, WriteFault::Throttled);
    debit(&process, id, "first").await.unwrap();
    faults.arm(0, WriteFault::Late);
    let writing = process.clone();
    let second = tokio::spawn(async move { debit(&writing, id, "second").await.is_ok() });
    while faults.writes() == 0 {
        tokio::task::yield_now().await;
    }
    let third = debit(&process, id, "third").await;
    assert!(matches!(third, Err(Unsettled::Failed(Fault::Backlogged))), "{third:?}");
    assert_eq!(faults.writes(), 1);
    faults.let_through();
    assert!(second.await.unwrap());
    debit(&process, id, "third").await.unwrap();
    assert_eq!(rows_and_entries(&fixture, id).await, (4, 4));
}

/// Other accounts, and other processes, are not held back. A repetition of a request that was charged gets its answer.
#[tokio::test]
async fn only_the_process_with_missing_rows_is_held_back() {
    let fixture = TestLedger::new().await;
    let (id, other) = (fixture.open(10, now()).await, fixture.open(10, now()).await);
    let faults = fixture.faults.clone().unwrap();
    let process = fixture.restarted();
    faults.arm_all(ROW, WriteFault::Throttled);
    let first = debit(&process, id, "first").await.unwrap();
    faults.arm(usize::MAX, WriteFault::Throttled);
    debit(&process, other, "first").await.unwrap();
    debit(&fixture.restarted(), id, "second").await.unwrap();
    assert_eq!(rows_and_entries(&fixture, id).await, (2, 3));
    let again = debit(&process, id, "first").await.unwrap();
    assert_eq!((again.receipt.entry, again.replayed), (first.receipt.entry, true));
    assert_eq!(rows_and_entries(&fixture, id).await, (3, 3));
}

/// The projector may write the row first.
#[tokio::test]
async fn a_row_that_the_projector_wrote_holds_no_request_back() {
    let mut fixture = TestLedger::new().await;
    let id = fixture.open(10, now()).await;
    let faults = fixture.faults.clone().unwrap();
    let process = fixture.restarted();
    faults.arm_all(ROW, WriteFault::Throttled);
    debit(&process, id, "first").await.unwrap();
    faults.arm(usize::MAX, WriteFault::Throttled);
    fixture.project().await;
    assert_eq!(rows_and_entries(&fixture, id).await, (2, 2));
    debit(&process, id, "second").await.unwrap();
    assert_eq!(rows_and_entries(&fixture, id).await, (3, 3));
    let report = fixture.restarted().audit(id, now(), |_| ()).await.unwrap().unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
}
