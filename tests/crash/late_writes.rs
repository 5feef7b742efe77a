//! A write that arrives long after its request was given up.

use chrono::{DateTime, Duration, Utc};
use domain::{Account, Consume, Credits, Head, Operation, consume};
use store::{Ledger, Settled, Unsettled};
use tests::{Books, Kind, moment, settle};

async fn debit(ledger: &Ledger, id: domain::AccountId, at: DateTime<Utc>) -> Result<Settled, Unsettled> {
    let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
    let charge = Consume { operation, amount: Credits::try_from(3).unwrap(), service: None };
    let decide = |account: &Account, head: &Head| consume(account, &charge, head);
    settle(ledger, id, ("once", "once"), moment(at), decide).await
}

/// The first sending's debit is on its way for minutes. The second sending fences it off, takes the key over and
/// debits. When the first one's write arrives at last it is refused, and the first sending must not debit under a new
/// id: the key is no longer its own. It answers as the second one did, or that it does not know yet.
#[tokio::test]
async fn a_sending_that_was_fenced_off_does_not_debit_again() {
    let start: DateTime<Utc> = "2024-01-15T10:30:00Z".parse().unwrap();
    let mut books = Books::new().await;
    let id = books.open(10, start).await;
    books.project().await;
    let faults = books.faults.clone().unwrap();
    faults.arm(1, Kind::Late);
    let (first, second) = (books.restarted(), books.restarted());
    let late = async { debit(&first, id, start).await };
    let others = async {
        while faults.writes() < 2 {
            tokio::task::yield_now().await;
        }
        let mut later = start + Duration::minutes(1);
        let made = loop {
            match debit(&second, id, later).await {
                Ok(made) => break made,
                Err(Unsettled::InProgress) => books.project().await,
                Err(other) => panic!("{other:?}"),
            }
            later += Duration::minutes(1);
        };
        faults.let_through();
        made
    };
    let (told, made) = tokio::join!(late, others);
    match told {
        Ok(told) => assert_eq!(told.receipt.entry.id, made.receipt.entry.id),
        Err(unsettled) => assert!(matches!(unsettled, Unsettled::InProgress), "{unsettled:?}"),
    }
    let account = books.restarted().account(id).await.unwrap().unwrap();
    assert_eq!((account.subscription.left.get(), account.used.get()), (7, 3));
    books.project().await;
    let rows = books.rows(id, start + Duration::hours(1)).await;
    let debits = rows.iter().filter(|row| row.entry.operation.as_str() == "verification.standard").count();
    assert_eq!(debits, 1);
}
