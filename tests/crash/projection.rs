//! Only a row needs its stream record: what fails besides is left to a job of the account, and others go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{AccountId, AutoRecharge, Consume, Credits, Operation, Period, consume};
use jobs::projection::{MissedProgress, Others, project, project_missed};
use ports::{Queue, QueueError};
use scrip_payments::RechargeRequest;
use store::{Job, Ledger};
use tests::{TableItem, TestLedger, auto_recharge, debits_without_records, keyed, moment, others, settle};

use crate::crash::chain::records;

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

async fn debit(ledger: &Ledger, id: AccountId, key: &str) {
    let operation = Operation::try_from("x".to_owned()).unwrap();
    let request = Consume { operation, amount: Credits::try_from(60).unwrap(), service: None };
    let decide = |account: &_, attempt: &_| consume(account, &request, attempt);
    settle(ledger, id, keyed(key, "x"), moment(now()), decide).await.unwrap();
}

/// A recharge queue that can be unavailable.
#[derive(Default)]
struct Recharges {
    is_away: AtomicBool,
    requests: std::sync::Mutex<Vec<AccountId>>,
}

#[async_trait]
impl Queue<RechargeRequest> for Recharges {
    async fn send(&self, request: &RechargeRequest, _: u16) -> Result<(), QueueError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(QueueError("the queue is away".to_owned()));
        }
        self.requests.lock().unwrap().push(request.account);
        Ok(())
    }
}

/// The projection jobs that are due by a time.
async fn projection_jobs(fixture: &TestLedger, by: DateTime<Utc>) -> Vec<AccountId> {
    let due = fixture.due_jobs(by).await.into_iter();
    due.filter(|due| matches!(due.job, Job::Projection(_))).map(|due| due.job.account()).collect()
}

#[tokio::test]
async fn a_queue_that_is_away_delays_its_own_account_alone() {
    let fixture = TestLedger::new().await;
    let (low, other) = (fixture.open(100, now()).await, fixture.open(100, now()).await);
    let recharge =
        AutoRecharge { threshold: Credits::try_from(50).unwrap(), ..auto_recharge(Period::of(now())) };
    fixture.ledger.save_recharge(low, &recharge).await.unwrap();
    for id in [low, other] {
        debit(&fixture.ledger, id, "k").await;
    }
    let (activity, queue) = (fixture.activity(), Recharges::default());
    let others = Others { recharges: &queue, ..others(&activity) };
    queue.is_away.store(true, Ordering::Relaxed);
    let all = records(&fixture).await;
    // The stream delivers a record more than once in the same minute.
    for _ in 0..3 {
        assert_eq!(project(&fixture.restarted(), &others, all.clone()).await, None);
    }
    for id in [low, other] {
        assert_eq!(fixture.ledger.projected_through(id).await.unwrap().notified_through(), 2);
    }
    let minute = others.moment.wall + TimeDelta::minutes(2);
    assert_eq!(projection_jobs(&fixture, minute).await, [low]);
    queue.is_away.store(false, Ordering::Relaxed);
    let caught_up = project_missed(&fixture.restarted(), &others, low, Duration::ZERO).await.unwrap();
    assert_eq!(caught_up, MissedProgress::Through(2));
    assert_eq!(*queue.requests.lock().unwrap(), [low]);
}

#[tokio::test]
async fn an_account_that_cannot_be_followed_delays_none_of_ninety_nine_others() {
    let fixture = TestLedger::new().await;
    let mut accounts = Vec::new();
    for _ in 0..100 {
        let id = fixture.open(100, now()).await;
        debit(&fixture.ledger, id, "k").await;
        accounts.push(id);
    }
    // Its alert state is unreadable, so that no event can be emitted for it.
    let poisoned = accounts[0];
    let text = |text: String| AttributeValue::S(text);
    let leftover: TableItem = [
        ("pk", text(format!("WATCH#{poisoned}"))),
        ("sk", text("S".to_owned())),
        ("revision", text("?".to_owned())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    fixture.write(&leftover).await;
    let all = records(&fixture).await;
    let (ledger, meter) = fixture.metered();
    assert_eq!(project(&ledger, &others(&fixture.activity()), all).await, None);
    let healthy = meter.take().requests;
    assert!(healthy <= 1_000, "{healthy} requests");
    for id in &accounts[1..] {
        assert_eq!(fixture.ledger.projected_through(*id).await.unwrap().notified_through(), 2);
    }
    // Its rows are known to exist, so requests whose answer was lost are resolved; its owner is not notified.
    let watermark = fixture.ledger.projected_through(poisoned).await.unwrap();
    assert_eq!((watermark.through(), watermark.notified_through()), (2, 0));
}

/// A few lost records are recovered with the next one; more are left to the job, which saves its progress.
#[tokio::test]
async fn many_lost_records_are_left_to_the_job() {
    let fixture = TestLedger::new().await;
    let id = debits_without_records(&fixture, 1_200).await;
    let last = records(&fixture).await.pop();
    let activity = fixture.activity();
    let others = others(&activity);
    assert_eq!(project(&fixture.restarted(), &others, last).await, None);
    assert_eq!(fixture.ledger.projected_through(id).await.unwrap().notified_through(), 0);
    assert_eq!(projection_jobs(&fixture, others.moment.wall + TimeDelta::minutes(2)).await, [id]);
    // A slice has at most a thousand rows: the month's allowance, and nine whole batches.
    let first = project_missed(&fixture.restarted(), &others, id, Duration::ZERO).await.unwrap();
    assert_eq!(first, MissedProgress::Partly(901));
    let second = project_missed(&fixture.restarted(), &others, id, Duration::ZERO).await.unwrap();
    assert_eq!(second, MissedProgress::Through(1_201));
    assert_eq!(fixture.counted(id, Period::of(now()), "verification.standard").await, 1_200);
    let report = fixture.restarted().audit(id, now(), |_| ()).await.unwrap().unwrap();
    assert!(report.added_up && report.findings.is_empty(), "{report:?}");
}

/// A request that has not written its rows yet gets the time to do so; then nothing is written twice.
#[tokio::test(start_paused = true)]
async fn rows_that_are_being_written_are_waited_for() {
    let fixture = TestLedger::new().await;
    let id = fixture.open(100, now()).await;
    debit(&fixture.ledger, id, "k").await;
    let rows = fixture.items(&format!("TXN#{id}#2024-01")).await;
    let row = rows.iter().find(|row| row["seq"] == AttributeValue::N("2".to_owned())).unwrap();
    fixture.delete(row).await;
    let all = records(&fixture).await;
    let activity = fixture.activity();
    let others = Others { grace: Duration::from_secs(3_600), ..others(&activity) };
    let ledger = fixture.restarted();
    let (failed, ()) = tokio::join!(project(&ledger, &others, all), async {
        // The request writes the row while the projector waits.
        tokio::time::sleep(Duration::from_secs(60)).await;
        fixture.write(row).await;
    });
    assert_eq!(failed, None);
    assert!(fixture.items(&format!("TXN#{id}#2024-01")).await.contains(row));
    assert_eq!(fixture.ledger.projected_through(id).await.unwrap().notified_through(), 2);
}
