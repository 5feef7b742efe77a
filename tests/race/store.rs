//! Races in the store, on every available DynamoDB.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{Amount, Consume, Credits, Grant, GrantOrigin, Operation, Refusal, Source, consume, grant};
use store::Unsettled;
use tests::{TestLedger, backends, keyed, moment, settle};

/// Processes without shared caches debit one account: exactly as many debits succeed as there are credits, rows
/// have no gap, and the buckets are emptied in order.
#[tokio::test(flavor = "multi_thread")]
async fn processes_without_shared_caches_never_oversell() {
    let now: DateTime<Utc> = "2024-01-15T10:30:00Z".parse().unwrap();
    for backend in backends() {
        let mut fixture = TestLedger::on(backend.as_deref()).await;
        let id = fixture.open(20, now).await;
        for (key, source, amount) in
            [("g1", Source::Bonus, 9), ("g2", Source::Purchased, 30), ("g3", Source::Purchased, 1)]
        {
            let amount = Amount::try_from(amount).unwrap();
            let gift =
                Grant { source, amount, service: None, expires_at: None, origin: GrantOrigin::Operator };
            settle(&fixture.ledger, id, keyed(key, key), moment(now), |account, attempt| {
                grant(account, &gift, attempt)
            })
            .await
            .unwrap();
        }
        let processes: Vec<_> = (0..16)
            .map(|process| {
                let ledger = Arc::new(fixture.restarted());
                tokio::spawn(async move {
                    let mut taken = 0;
                    for n in 0..5 {
                        let key = format!("p{process}-{n}");
                        let operation = Operation::try_from("x".to_owned()).unwrap();
                        let request =
                            Consume { operation, amount: Credits::try_from(1).unwrap(), service: None };
                        let decide = |account: &_, attempt: &_| consume(account, &request, attempt);
                        match settle(&ledger, id, keyed(&key, &key), moment(now), decide).await {
                            Ok(_) => taken += 1,
                            Err(Unsettled::Refused(Refusal::InsufficientCredits { .. })) => (),
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                    taken
                })
            })
            .collect();
        let mut taken = 0;
        for process in processes {
            taken += process.await.unwrap();
        }
        assert_eq!(taken, 60, "{backend:?}");
        fixture.project().await;
        let rows = fixture.rows(id, now).await;
        let numbers: Vec<_> = rows.iter().map(|row| row.sequence).collect();
        assert_eq!(numbers, (1..=64).rev().collect::<Vec<_>>(), "{backend:?}");
        let sources: Vec<_> = rows.iter().take(60).rev().map(|row| row.entry.moves[0].source).collect();
        assert!(sources.is_sorted(), "{backend:?}: {sources:?}");
    }
}

/// A warm process grants to a lot that it has cached as full after others emptied and removed it: the store decides
/// again, and the caller notices nothing.
#[tokio::test]
async fn a_lot_that_was_removed_meanwhile_gets_no_grant() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let now = "2024-01-15T10:30:00Z".parse().unwrap();
        let id = fixture.open(0, now).await;
        let give = |source| Grant {
            source,
            amount: Amount::try_from(1).unwrap(),
            service: None,
            expires_at: None,
            origin: GrantOrigin::Operator,
        };
        let (purchased, bonus) = (give(Source::Purchased), give(Source::Bonus));
        for (key, gift) in
            [("1", &purchased), ("2", &purchased), ("3", &purchased), ("4", &purchased), ("5", &bonus)]
        {
            settle(&fixture.ledger, id, keyed(key, key), moment(now), |account, attempt| {
                grant(account, gift, attempt)
            })
            .await
            .unwrap();
        }
        let all = Consume {
            operation: Operation::try_from("x".to_owned()).unwrap(),
            amount: Credits::try_from(5).unwrap(),
            service: None,
        };
        settle(&fixture.restarted(), id, keyed("all", "all"), moment(now), |account, attempt| {
            consume(account, &all, attempt)
        })
        .await
        .unwrap();
        settle(&fixture.ledger, id, keyed("6", "6"), moment(now), |account, attempt| {
            grant(account, &purchased, attempt)
        })
        .await
        .unwrap();
        let account = fixture.ledger.account(id).await.unwrap().unwrap();
        assert_eq!(account.balance(now).purchased.get(), 1);
    }
}
