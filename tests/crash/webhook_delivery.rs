//! The webhook worker may die at any write: the following events are delivered in order, and none is lost.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::{AccountId, DeliveryState, DeliveryStatus, WebhookStatus};
use ports::{Queue, QueueError};
use scrip_webhooks::DeliveryRequest;
use store::{Job, WebhookKey};
use tests::WriteFault;

use crate::crash::webhook_ledger::{EVENTS, WebhookLedger, start};

/// The worker dies at every write, or loses the answer or the request, with a receiver that accepts everything and
/// with one that accepts each event at the second attempt.
#[tokio::test]
async fn a_worker_that_dies_at_any_write_loses_no_event() {
    let mut cases = 0;
    for refuses in [false, true] {
        let mut number = 0;
        loop {
            let mut was_reached = false;
            for kind in WriteFault::EACH {
                let post = WebhookLedger::new().await;
                if refuses {
                    let mut seen = BTreeSet::new();
                    post.receiver.answer_by(move |body| {
                        let is_new = seen.insert(body["sequence"].as_u64());
                        (if is_new { 500 } else { 200 }, http::HeaderMap::new())
                    });
                }
                let case = format!("write {number}, {kind:?}, refuses {refuses}");
                post.faults().arm(number, kind);
                let failed = post.deliver().await.is_err();
                was_reached |= number < post.faults().writes();
                post.faults().arm(usize::MAX, kind);
                post.run_until_idle(failed).await;
                post.all_is_delivered(&case).await;
                cases += 1;
            }
            if !was_reached {
                break;
            }
            number += 1;
        }
    }
    assert!(cases > 60, "{cases}");
}

/// Many workers run at once: each event is sent once and in order.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_workers_delivers() {
    for _ in 0..5 {
        let post = Arc::new(WebhookLedger::new().await);
        let all = (0..16).map(|_| {
            let post = post.clone();
            tokio::spawn(async move { post.deliver().await.unwrap() })
        });
        for one in all.collect::<Vec<_>>() {
            one.await.unwrap();
        }
        // A worker that did not get the lease leaves the delivery to the one that has it.
        post.all_is_delivered("at once").await;
        assert_eq!(post.receiver.received().len() as u64, EVENTS);
    }
}

/// An event that is emitted during a delivery is delivered too, though the worker that it calls finds the webhook
/// leased.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_during_a_delivery_is_delivered() {
    for _ in 0..20 {
        let post = Arc::new(WebhookLedger::new().await);
        let delivering = post.clone();
        let delivering = tokio::spawn(async move { delivering.deliver().await.unwrap() });
        post.emit(EVENTS + 1).await;
        post.deliver().await.unwrap();
        delivering.await.unwrap();
        assert_eq!(post.receiver.numbers(), (1..=EVENTS + 1).collect::<Vec<_>>());
    }
}

/// The owner moves the position of a webhook during an attempt: both count.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_position_during_an_attempt_is_kept() {
    let post = Arc::new(WebhookLedger::new().await);
    let (fixture, account, webhook) = (post.fixture.activity(), post.account, post.webhook);
    let fixture = Arc::new(fixture);
    let runtime = tokio::runtime::Handle::current();
    let mut first = true;
    post.receiver.answer_by(move |_| {
        if std::mem::take(&mut first) {
            let pause = fixture.clone();
            let paused = std::thread::spawn({
                let runtime = runtime.clone();
                move || {
                    runtime.block_on(async move {
                        pause.change_delivery_state(account, webhook, DeliveryState::paused).await.unwrap()
                    })
                }
            });
            paused.join().unwrap();
        }
        (200, http::HeaderMap::new())
    });
    post.deliver().await.unwrap();
    assert_eq!(post.receiver.numbers(), [1]);
    let state = post.state().await;
    assert_eq!((state.through, state.is_active()), (1, false));
    post.fixture.activity().change_delivery_state(account, webhook, DeliveryState::resumed).await.unwrap();
    post.deliver().await.unwrap();
    post.all_is_delivered("resumed").await;
}

/// The owner restarts deliveries during an attempt: its outcome does not undo that.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_during_an_attempt_is_kept() {
    let post = Arc::new(WebhookLedger::new().await);
    let (activity, account, webhook) = (Arc::new(post.fixture.activity()), post.account, post.webhook);
    let runtime = tokio::runtime::Handle::current();
    post.receiver.answer_by(move |body| {
        if body["sequence"] == 3 && body["data"]["amount"] == 3 {
            let (activity, runtime) = (activity.clone(), runtime.clone());
            let rewind = move || {
                let again =
                    |known: &DeliveryState| if known.run == 0 { known.from_after(0) } else { known.clone() };
                runtime.block_on(activity.change_delivery_state(account, webhook, again)).unwrap()
            };
            std::thread::spawn(rewind).join().unwrap();
        }
        (200, http::HeaderMap::new())
    });
    post.deliver().await.unwrap();
    assert_eq!(post.receiver.numbers(), [1, 2, 3, 1, 2, 3, 4]);
    assert_eq!(post.state().await.through, EVENTS);
}

/// An attempt that fails after the owner restarted deliveries belongs to the run before: it does not count, and its
/// line does not wait.
#[tokio::test(flavor = "multi_thread")]
async fn an_overtaken_attempt_leaves_no_waiting_line() {
    let changes: [fn(&DeliveryState) -> DeliveryState; 3] =
        [|known| known.from_after(0), |known| known.paused().resumed(), DeliveryState::unhindered];
    for (place, change) in changes.into_iter().enumerate() {
        let post = Arc::new(WebhookLedger::new().await);
        let (activity, account, webhook) = (Arc::new(post.fixture.activity()), post.account, post.webhook);
        let runtime = tokio::runtime::Handle::current();
        let mut attempts = 0;
        post.receiver.answer_by(move |_| {
            attempts += 1;
            if attempts == 2 {
                let (activity, runtime) = (activity.clone(), runtime.clone());
                let set = move || {
                    runtime.block_on(activity.change_delivery_state(account, webhook, change)).unwrap()
                };
                std::thread::spawn(set).join().unwrap();
            }
            (if attempts < 4 { 500 } else { 200 }, http::HeaderMap::new())
        });
        post.run_until_idle(true).await;
        let state = post.state().await;
        assert_eq!((state.through, state.failures), (EVENTS, 0), "{place}");
        let (log, _) =
            post.fixture.activity().deliveries(WebhookKey { account, id: webhook }, None, 100).await.unwrap();
        let lines = log.into_iter().map(|line| line.by(&state)).map(|line| (line.number, line.status));
        let (mut lines, anew): (Vec<_>, Vec<_>) =
            lines.partition(|(_, status)| *status == DeliveryStatus::Superseded);
        assert_eq!(lines.pop(), Some((1, DeliveryStatus::Superseded)), "{place}");
        assert_eq!(lines, [], "{place}");
        assert_eq!(anew.len() as u64, EVENTS, "{place}");
        assert!(anew.iter().all(|(_, status)| *status == DeliveryStatus::Succeeded), "{place}");
    }
}

/// A retry is scheduled before its delivery says so, by real time, whatever clock the account has.
#[tokio::test]
async fn a_retry_is_scheduled_before_it_is_announced() {
    let post = WebhookLedger::new().await;
    post.receiver.answer(500);
    post.deliver().await.unwrap();
    let due = post.state().await.retry_at.unwrap();
    let noted = post.fixture.due_jobs(due).await;
    let jobs: Vec<_> = noted.iter().map(|noted| (noted.job, noted.due)).collect();
    assert!(jobs.contains(&(Job::Webhooks(post.account), due)), "{jobs:?}");
    assert!((5..=6).contains(&(due - start()).num_seconds()));
}

/// A queue that records its accounts.
#[derive(Default)]
struct RecordingQueue(Mutex<Vec<AccountId>>);

#[async_trait]
impl Queue<DeliveryRequest> for RecordingQueue {
    async fn send(&self, request: &DeliveryRequest, _: u16) -> Result<(), QueueError> {
        self.0.lock().unwrap().push(request.account());
        Ok(())
    }
}

/// The bus lost the events' delivery requests: the scheduled sweep sends them again until every event is delivered.
#[tokio::test]
async fn a_lost_delivery_request_is_sent_again_by_the_sweep() {
    let post = WebhookLedger::new().await;
    let (called, activity) = (RecordingQueue::default(), post.fixture.activity());
    let round = async || {
        let others = tests::others(&activity);
        let report = &mut |_: &str| ();
        local::catch_up_accounts(&post.fixture.ledger, &others, &called, || tests::moment(start()), report)
            .await
            .unwrap();
        std::mem::take(&mut *called.0.lock().unwrap())
    };
    assert_eq!(round().await, [post.account]);
    post.deliver().await.unwrap();
    assert_eq!(post.receiver.received().len() as u64, EVENTS);
    assert_eq!(round().await, []);
    post.emit(EVENTS + 1).await;
    let state = activity.delivery_state(post.account, post.webhook).await.unwrap().unwrap();
    let paused = DeliveryState { status: WebhookStatus::Paused, ..state };
    activity.save_delivery_state(post.account, post.webhook, &paused).await.unwrap().unwrap();
    assert_eq!(round().await, []);
}
