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
    let offer =
        Offer { credits: Amount::try_from(500).unwrap(), price, service: None, package: None, version: 3 };
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
        let before = now() + Duration::minutes(10) - Duration::milliseconds(1);
        assert_eq!(fixture.due_jobs(before).await, []);
        let due = fixture.due_jobs(now() + Duration::minutes(20)).await;
        assert_eq!(due.len(), 32);
        assert!(due.windows(2).all(|pair| pair[0].due <= pair[1].due));
        for one in &due {
            ledger.remove_job(one).await.unwrap();
            ledger.remove_job(one).await.unwrap();
        }
        noted.retain(|one| !due.contains(one));
        noted.sort();
        assert_eq!(fixture.due_jobs(now() + Duration::hours(9)).await, noted);
    }
}

#[tokio::test]
async fn an_account_has_one_job_of_a_kind_for_each_minute() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let (account, other) = (fixture.open(1, now()).await, fixture.open(1, now()).await);
        let (ledger, minute) = (&fixture.ledger, now() + Duration::minutes(2));
        for millis in [0, 1, 30_000, 59_999] {
            let scheduled = ledger
                .schedule_in_minute(Job::Calendar(account), now() + Duration::milliseconds(millis))
                .await
                .unwrap();
            assert_eq!(scheduled.due, minute);
        }
        assert_eq!(fixture.due_jobs(minute).await.len(), 1, "{backend:?}");
        let before = now() - Duration::milliseconds(1);
        for (job, at) in
            [(Job::Calendar(account), before), (Job::Calendar(other), now()), (Job::Plan(account), now())]
        {
            ledger.schedule_in_minute(job, at).await.unwrap();
        }
        assert_eq!(fixture.due_jobs(minute).await.len(), 4, "other minutes, accounts and kinds: {backend:?}");
    }
}

#[tokio::test]
async fn two_requests_do_not_share_a_job_that_one_of_them_cancels() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let job = Job::Calendar(fixture.open(1, now()).await);
        let one = fixture.ledger.schedule_for_request(job, now()).await.unwrap();
        let other = fixture.ledger.schedule_for_request(job, now()).await.unwrap();
        fixture.ledger.remove_job(&one).await.unwrap();
        assert_eq!(fixture.due_jobs(now()).await, [other], "{backend:?}");
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
