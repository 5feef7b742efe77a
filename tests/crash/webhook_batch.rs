//! A batch of the webhook queue: an account with a fault delays no other account, and its own message grows rarer.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use app::App;
use async_trait::async_trait;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};
use domain::{
    AccountId, AddressPolicy, Credits, DeliveryState, EntryId, Lot, Notification, Source, WebhookId,
};
use lambda_runtime::{Context, LambdaEvent};
use ports::{Queue, QueueError, SealFailure};
use scrip_webhooks::{DeliveryRequest, WebhookClient};
use store::{AddedWebhook, Job, random};
use tests::{Receiver, TableItem, TestProcess, WriteFault, moment};

use crate::crash::webhook_ledger::{TestSeal, start, webhook};

/// A queue that records what is sent, or is away.
#[derive(Default)]
struct Requests {
    sent: Mutex<Vec<(DeliveryRequest, u16)>>,
    is_away: Mutex<bool>,
}

#[async_trait]
impl Queue<DeliveryRequest> for Requests {
    async fn send(&self, request: &DeliveryRequest, delay: u16) -> Result<(), QueueError> {
        if *self.is_away.lock().unwrap() {
            return Err(QueueError("away".to_owned()));
        }
        self.sent.lock().unwrap().push((*request, delay));
        Ok(())
    }
}

impl Requests {
    fn take(&self) -> Vec<(DeliveryRequest, u16)> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }
}

/// Three accounts, each with two webhooks and an event; the middle one gets the faults.
struct Batch {
    process: TestProcess,
    app: App,
    requests: Arc<Requests>,
    seal: Arc<TestSeal>,
    accounts: Vec<(AccountId, [Receiver; 2])>,
}

impl Batch {
    async fn new() -> Self {
        let process = TestProcess::open(start()).await;
        let (requests, seal) = (Arc::new(Requests::default()), Arc::new(TestSeal::default()));
        let started = Arc::into_inner(process.start()).unwrap();
        let app = App {
            deliveries: requests.clone(),
            seal: seal.clone(),
            sender: Arc::new(WebhookClient::new(AddressPolicy::AndLoopback)),
            ..started
        };
        let mut accounts = Vec::new();
        for _ in 0..3 {
            let account = process.fixture.open(100, start()).await;
            let receivers = [Receiver::start().await, Receiver::start().await];
            for receiver in &receivers {
                let settings = webhook(WebhookId::new(start(), random()), account, receiver).await;
                let state = DeliveryState::new(0);
                let added = app.activity.add_webhook(account, &settings, &state, moment(start())).await;
                assert_eq!(added.unwrap(), AddedWebhook::Added);
            }
            let terms = Lot {
                source: Source::Bonus,
                left: Credits::try_from(1).unwrap(),
                service: None,
                expires_at: Some(start()),
            };
            let notification = Notification::Expiring { lot: EntryId::new(start(), 1), terms };
            app.ledger.emit(account, &notification, moment(start())).await.unwrap();
            accounts.push((account, receivers));
        }
        Self { process, app, requests, seal, accounts }
    }

    fn faulty(&self) -> AccountId {
        self.accounts[1].0
    }

    /// Runs the function with messages; returns the places of those that SQS delivers again.
    async fn handle(&self, messages: &[String]) -> Vec<usize> {
        let records = messages.iter().enumerate().map(|(place, body)| {
            let mut message = SqsMessage::default();
            message.message_id = Some(place.to_string());
            message.body = Some(body.clone());
            message
        });
        let mut event = SqsEvent::default();
        event.records = records.collect();
        let answer = webhook_delivery::handle(&self.app, LambdaEvent::new(event, Context::default()));
        let failed = answer.await.unwrap().batch_item_failures;
        failed.into_iter().map(|failure| failure.item_identifier.parse().unwrap()).collect()
    }

    /// Runs the function with a message for each account.
    async fn handle_all(&self) -> Vec<usize> {
        let messages =
            self.accounts.iter().map(|(account, _)| message(DeliveryRequest::Account { account: *account }));
        self.handle(&messages.collect::<Vec<_>>()).await
    }

    /// How many events each webhook has got.
    fn received(&self) -> Vec<[usize; 2]> {
        let count = |receiver: &Receiver| receiver.received().len();
        self.accounts.iter().map(|(_, receivers)| receivers.each_ref().map(count)).collect()
    }

    /// The first webhook of the middle account, as it is stored.
    async fn item(&self, suffix: &str) -> TableItem {
        let partition = format!("HOOKS#{}", self.faulty());
        let url = &self.accounts[1].1[0].url;
        let items = self.process.fixture.activity_items(&partition).await;
        let of = |item: &&TableItem| item.get("url").and_then(|text| text.as_s().ok()) == Some(url);
        let id = items.iter().find(of).unwrap()["sk"].as_s().unwrap().clone();
        let name = format!("{id}{suffix}");
        items.into_iter().find(|item| item["sk"].as_s().unwrap() == &name).unwrap()
    }

    /// When the middle account's scheduled jobs are due.
    async fn jobs(&self) -> BTreeSet<DateTime<Utc>> {
        let due = self.process.fixture.due_jobs(DateTime::<Utc>::MAX_UTC).await;
        let of = due.into_iter().filter(|noted| noted.job == Job::Webhooks(self.faulty()));
        of.map(|noted| noted.due).collect()
    }
}

fn message(request: DeliveryRequest) -> String {
    serde_json::to_string(&request).unwrap()
}

/// A webhook whose item or state cannot be read: the account's other webhook and the other accounts get their events,
/// and the account alone is requeued.
#[tokio::test]
async fn an_unreadable_webhook_delays_no_other() {
    for (suffix, attribute) in [("", "secrets"), ("#state", "status")] {
        let batch = Batch::new().await;
        let sound = batch.item(suffix).await;
        let mut damaged = sound.clone();
        damaged.insert(attribute.to_owned(), AttributeValue::N("1".to_owned()));
        batch.process.fixture.write_activity(&damaged).await;
        assert_eq!(batch.handle_all().await, [0; 0], "{attribute}");
        assert_eq!(batch.received(), [[1, 1], [0, 1], [1, 1]], "{attribute}");
        let again = DeliveryRequest::AfterFault { account: batch.faulty(), faults: 1 };
        assert_eq!(batch.requests.take(), [(again, 65)], "{attribute}");
        batch.process.fixture.write_activity(&sound).await;
        assert_eq!(batch.handle(&[message(again)]).await, [0; 0]);
        assert_eq!(batch.received(), [[1, 1], [1, 1], [1, 1]], "{attribute}");
        assert_eq!(batch.requests.take(), []);
    }
}

/// The faults of an account in a row, and when it is tried again: by a message, and later by one job for each quarter of
/// an hour, however many messages there were.
#[tokio::test]
async fn an_account_with_faults_is_tried_more_and_more_rarely() {
    let batch = Batch::new().await;
    let mut damaged = batch.item("#state").await;
    damaged.insert("status".to_owned(), AttributeValue::N("1".to_owned()));
    batch.process.fixture.write_activity(&damaged).await;
    let account = batch.faulty();
    for (faults, delay) in [(0, 65), (1, 130), (2, 260), (3, 520)] {
        let sent = message(DeliveryRequest::AfterFault { account, faults });
        // Several messages for one account become one.
        let fresh = message(DeliveryRequest::Account { account });
        assert_eq!(batch.handle(&[fresh.clone(), sent, fresh]).await, [0; 0]);
        let again = DeliveryRequest::AfterFault { account, faults: faults + 1 };
        assert_eq!(batch.requests.take(), [(again, delay)]);
        assert!(batch.jobs().await.is_empty());
    }
    for faults in [4, 5, u32::MAX] {
        let sent = message(DeliveryRequest::AfterFault { account, faults });
        assert_eq!(batch.handle(&[sent.clone(), sent]).await, [0; 0]);
        assert_eq!(batch.requests.take(), []);
    }
    let slot: DateTime<Utc> = "2024-01-15T10:45:00Z".parse().unwrap();
    assert_eq!(batch.jobs().await, BTreeSet::from([slot]));
    batch.process.pass(Duration::minutes(15).num_seconds());
    batch.handle(&[message(DeliveryRequest::AfterFault { account, faults: 9 })]).await;
    assert_eq!(batch.jobs().await, BTreeSet::from([slot, slot + Duration::minutes(15)]));
}

/// The key of one account's secrets is away, or does not fit: no message is sent again, and the account's webhooks wait
/// by their own states.
#[tokio::test]
async fn a_secret_that_cannot_be_decrypted_is_no_fault_of_its_account() {
    for cause in [SealFailure::Unavailable, SealFailure::Unreadable] {
        let batch = Batch::new().await;
        batch.seal.fail(cause, 2);
        let first = message(DeliveryRequest::Account { account: batch.faulty() });
        assert_eq!(batch.handle(&[first]).await, [0; 0]);
        assert_eq!(batch.handle_all().await, [0; 0]);
        assert_eq!(batch.received(), [[1, 1], [0, 0], [1, 1]], "{cause:?}");
        let sent = batch.requests.take();
        let is_retry = |(request, delay): &(DeliveryRequest, u16)| {
            (*request, *delay) == (DeliveryRequest::Account { account: batch.faulty() }, 6)
        };
        assert!(sent.len() == 2 && sent.iter().all(is_retry), "{sent:?}");
        assert_eq!(batch.jobs().await, BTreeSet::from([start() + Duration::seconds(5)]));
        batch.process.pass(5);
        assert_eq!(batch.handle_all().await, [0; 0]);
        assert_eq!(batch.received(), [[1, 1]; 3], "{cause:?}");
    }
}

/// Queue and table fail together. The message is delivered again only if neither takes the account.
#[tokio::test]
async fn a_message_fails_only_where_the_account_cannot_be_requeued() {
    let batch = Batch::new().await;
    let mut damaged = batch.item("#state").await;
    damaged.insert("status".to_owned(), AttributeValue::N("1".to_owned()));
    batch.process.fixture.write_activity(&damaged).await;
    *batch.requests.is_away.lock().unwrap() = true;
    assert_eq!(batch.handle_all().await, [0; 0]);
    assert_eq!(batch.jobs().await.len(), 1);
    batch.process.faults.arm(0, WriteFault::CrashBefore);
    batch.process.faults.kill();
    assert_eq!(batch.handle_all().await, [0, 1, 2]);
    *batch.requests.is_away.lock().unwrap() = false;
    assert_eq!(batch.handle_all().await, [0; 0]);
    let sent = batch.requests.take().into_iter().map(|(request, _)| request);
    let again = batch
        .accounts
        .iter()
        .map(|(account, _)| DeliveryRequest::AfterFault { account: *account, faults: 1 });
    let by_account = |requests: Vec<DeliveryRequest>| {
        requests.into_iter().map(|request| (request.account(), request.faults())).collect::<BTreeSet<_>>()
    };
    assert_eq!(by_account(sent.collect()), by_account(again.collect()));
    // A message that is not valid goes to the dead-letter queue, alone.
    batch.process.clear_faults();
    let valid = message(DeliveryRequest::Account { account: batch.accounts[0].0 });
    assert_eq!(batch.handle(&["{}".to_owned(), valid]).await, [0]);
}
