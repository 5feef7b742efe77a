//! Unfinished work is found again: scheduled jobs, purchases and auto-recharge as the tables keep them, on every
//! available DynamoDB.

use chrono::{DateTime, Duration, Utc};
use domain::{
    AccountId, Amount, AutoRecharge, AutoRechargeUpdate, Credits, Currency, EntryId, Money, Offer, Purchase,
    PurchaseId, PurchaseStatus, Reference,
};
use store::{Job, random};
use tests::{TestLedger, backends};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn purchase(account: AccountId) -> Purchase {
    let id = PurchaseId { account, transaction: EntryId::new(now(), random()) };
    let price = Money::new(4900, Currency::GBP).unwrap();
    let offer = Offer { credits: Amount::try_from(500).unwrap(), price, package: None, version: 3 };
    Purchase::begun(id, offer, Reference::try_from("card_1".to_owned()).unwrap(), now())
}

#[tokio::test]
async fn jobs_are_due_in_order_until_they_are_removed() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let ledger = &fixture.ledger;
        assert_eq!(ledger.next_job_due().await.unwrap(), None);
        let mut noted = Vec::new();
        for minutes in [40, 10, 30, 20] {
            for _ in 0..8 {
                let account = fixture.open(1, now()).await;
                noted.push(
                    ledger
                        .schedule(Job::Recharge(account), now() + Duration::minutes(minutes))
                        .await
                        .unwrap(),
                );
                let bought = Job::Purchase(purchase(account).id);
                noted.push(ledger.schedule(bought, now() + Duration::minutes(minutes)).await.unwrap());
            }
        }
        let first = noted[0];
        assert_eq!(
            ledger.schedule(first.job, first.due).await.unwrap(),
            first,
            "scheduled twice, it is stored once"
        );
        assert_eq!(ledger.next_job_due().await.unwrap(), Some(now() + Duration::minutes(10)));
        assert_eq!(
            ledger.due_jobs(now() + Duration::minutes(10) - Duration::milliseconds(1)).await.unwrap(),
            []
        );
        let due = ledger.due_jobs(now() + Duration::minutes(20)).await.unwrap();
        assert_eq!(due.len(), 32);
        assert!(due.windows(2).all(|pair| pair[0].due <= pair[1].due));
        for one in &due {
            ledger.remove_job(one).await.unwrap();
            ledger.remove_job(one).await.unwrap();
        }
        noted.retain(|one| !due.contains(one));
        let mut left = ledger.due_jobs(now() + Duration::hours(9)).await.unwrap();
        left.sort_by_key(|one| (one.due, one.job));
        noted.sort_by_key(|one| (one.due, one.job));
        assert_eq!(left, noted);
    }
}

#[tokio::test]
async fn a_purchase_is_saved_by_its_latest_reader() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let account = fixture.open(1, now()).await;
        let begun = purchase(account);
        assert_eq!(fixture.ledger.purchase(begun.id).await.unwrap(), None);
        assert_eq!(fixture.ledger.begin_purchase(&begun).await.unwrap(), None);
        let rival = Purchase { charges: 1, ..begun.clone() };
        assert_eq!(
            fixture.ledger.begin_purchase(&rival).await.unwrap(),
            Some(begun.clone()),
            "the first one stays"
        );
        let known = fixture.restarted().purchase(begun.id).await.unwrap().unwrap();
        assert_eq!(known, begun);
        let mine =
            Purchase { status: PurchaseStatus::Pending(Some("https://pay.example".into())), ..known.clone() };
        let saved = fixture.ledger.save_purchase(&mine).await.unwrap().unwrap();
        assert_eq!(saved.revision, known.revision + 1);
        let theirs = Purchase { looks: 7, ..known };
        assert_eq!(fixture.ledger.save_purchase(&theirs).await.unwrap(), None);
        assert_eq!(fixture.ledger.purchase(begun.id).await.unwrap(), Some(saved));
    }
}

#[tokio::test]
async fn a_crossing_is_claimed_by_one() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let account = fixture.open(1, now()).await;
        let change = AutoRechargeUpdate {
            enabled: Some(true),
            threshold: Some(Credits::try_from(100).unwrap()),
            amount: Some(Amount::try_from(500).unwrap()),
            payment_method: Some(Reference::try_from("card_1".to_owned()).unwrap()),
            ..AutoRechargeUpdate::default()
        };
        let wanted = AutoRecharge::changed(None, &change, now()).unwrap();
        let saved = fixture.ledger.save_recharge(account, &wanted).await.unwrap().unwrap();
        assert_eq!(fixture.restarted().recharge(account).await.unwrap(), Some(saved.clone()));
        let other = AutoRecharge { threshold: Credits::try_from(7).unwrap(), ..wanted };
        assert_eq!(fixture.ledger.save_recharge(account, &other).await.unwrap(), None, "it is there already");
        let mut claims = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (ledger, saved) = (fixture.restarted(), saved.clone());
            let transaction = EntryId::new(now(), random());
            let (credits, price) =
                (Amount::try_from(500).unwrap(), Money::new(4_900, Currency::GBP).unwrap());
            let charging = saved.charging(transaction, credits, price, now());
            claims.spawn(async move { ledger.save_recharge(account, &charging).await.unwrap() });
        }
        let won: Vec<_> = claims.join_all().await.into_iter().flatten().collect();
        assert_eq!(won.len(), 1);
        assert_eq!(fixture.ledger.recharge(account).await.unwrap().as_ref(), won.first());
    }
}
