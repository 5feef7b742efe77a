//! A write that arrives long after its request timed out, and a write that arrives twice.

use chrono::{DateTime, Duration, Utc};
use domain::{Account, Attempt, Consume, Credits, Operation, consume};
use store::{Ledger, Settled, Unsettled};
use tests::{TestLedger, WriteFault, keyed, moment, settle};

async fn debit(ledger: &Ledger, id: domain::AccountId, at: DateTime<Utc>) -> Result<Settled, Unsettled> {
    let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
    let charge = Consume { operation, amount: Credits::try_from(3).unwrap(), service: None };
    let decide = |account: &Account, attempt: &Attempt| consume(account, &charge, attempt);
    settle(ledger, id, keyed("once", "once"), moment(at), decide).await
}

/// The debit of the first attempt is delayed for minutes. The second attempt fences it off, takes the key over and
/// debits. When the delayed write arrives it is refused, and the first attempt must not debit under a new id,
/// because the key is no longer its own. It gives the second attempt's answer, or says that it does not know yet.
#[tokio::test]
async fn an_attempt_that_was_fenced_off_does_not_debit_again() {
    let start: DateTime<Utc> = "2024-01-15T10:30:00Z".parse().unwrap();
    let mut fixture = TestLedger::new().await;
    let id = fixture.open(10, start).await;
    fixture.project().await;
    let faults = fixture.faults.clone().unwrap();
    faults.arm(1, WriteFault::Late);
    let (first, second) = (fixture.restarted(), fixture.restarted());
    let late = async { debit(&first, id, start).await };
    let others = async {
        while faults.writes() < 2 {
            tokio::task::yield_now().await;
        }
        let mut later = start + Duration::minutes(1);
        let made = loop {
            match debit(&second, id, later).await {
                Ok(made) => break made,
                Err(Unsettled::InProgress) => fixture.project().await,
                Err(other) => panic!("{other:?}"),
            }
            later += Duration::minutes(1);
        };
        faults.let_through();
        made
    };
    let (answered, made) = tokio::join!(late, others);
    match answered {
        Ok(answered) => assert_eq!(answered.receipt.entry.id, made.receipt.entry.id),
        Err(unsettled) => assert!(matches!(unsettled, Unsettled::InProgress), "{unsettled:?}"),
    }
    let account = fixture.restarted().account(id).await.unwrap().unwrap();
    assert_eq!((account.subscription.left.get(), account.used.get()), (7, 3));
    fixture.project().await;
    let rows = fixture.rows(id, start + Duration::hours(1)).await;
    let debits = rows.iter().filter(|row| row.entry.operation.as_str() == "verification.standard").count();
    assert_eq!(debits, 1);
}

/// A layer below the store sends the account's write twice, as an HTTP client that repeats a request on a new connection
/// would: one debit, and its caller gets it.
#[tokio::test]
async fn a_debit_that_is_sent_twice_lands_once() {
    let start: DateTime<Utc> = "2024-01-15T10:30:00Z".parse().unwrap();
    let mut fixture = TestLedger::new().await;
    let id = fixture.open(10, start).await;
    let faults = fixture.faults.clone().unwrap();
    faults.arm(1, WriteFault::SentTwice);
    let made = debit(&fixture.restarted(), id, start).await.unwrap();
    assert_eq!((made.replayed, faults.writes()), (false, 3), "claim, debit and row");
    let account = fixture.restarted().account(id).await.unwrap().unwrap();
    assert_eq!((account.subscription.left.get(), account.used.get()), (7, 3));
    let again = debit(&fixture.restarted(), id, start + Duration::seconds(1)).await.unwrap();
    assert_eq!((again.receipt, again.replayed), (made.receipt, true));
    fixture.project().await;
    let rows = fixture.rows(id, start + Duration::hours(1)).await;
    let debits = rows.iter().filter(|row| row.entry.operation.as_str() == "verification.standard").count();
    assert_eq!(debits, 1);
}
