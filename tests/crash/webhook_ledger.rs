//! A ledger with a webhook, whose worker and receiver fail as a test says.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use domain::{
    AccountId, AddressPolicy, Credits, Delivery, DeliveryState, EntryId, Lot, Notification, OnFailure,
    SealedSecret, Source, Webhook, WebhookId, WebhookSecret, WebhookUrl,
};
use ports::{Queue, QueueError, Seal, SealError, SealFailure, SecretOf};
use scrip_webhooks::{DeliveryRequest, WebhookClient, WebhookWorker};
use store::{Activity, Fault, Job, Ledger, WebhookKey};
use tests::{Faults, ManualClock, PlainSeal, Receiver, TestLedger, WriteFault, moment};

/// How many events there are.
pub(crate) const EVENTS: u64 = 4;

/// A queue that loses everything, so that only scheduled jobs run.
pub(crate) struct LosingQueue;

#[async_trait]
impl Queue<DeliveryRequest> for LosingQueue {
    async fn send(&self, _: &DeliveryRequest, _: u16) -> Result<(), QueueError> {
        Ok(())
    }
}

/// A queue that records its accounts, each with the delay in seconds.
#[derive(Default)]
pub(crate) struct RecordingQueue(Mutex<Vec<(AccountId, u16)>>);

impl RecordingQueue {
    /// Takes what was recorded.
    pub(crate) fn take_all(&self) -> Vec<(AccountId, u16)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[async_trait]
impl Queue<DeliveryRequest> for RecordingQueue {
    async fn send(&self, request: &DeliveryRequest, delay: u16) -> Result<(), QueueError> {
        self.0.lock().unwrap().push((request.account(), delay));
        Ok(())
    }
}

/// A seal that does not encrypt, and that fails as often as the test says.
#[derive(Default)]
pub(crate) struct TestSeal(Mutex<Option<(SealFailure, u32)>>);

impl TestSeal {
    /// The next `times` secrets are not decrypted.
    pub(crate) fn fail(&self, cause: SealFailure, times: u32) {
        *self.0.lock().unwrap() = Some((cause, times));
    }

    fn failure(&self) -> Option<SealFailure> {
        let mut script = self.0.lock().unwrap();
        let (cause, left) = script.filter(|(_, left)| 0 < *left)?;
        *script = Some((cause, left.saturating_sub(1)));
        Some(cause)
    }
}

#[async_trait]
impl Seal for TestSeal {
    async fn seal(&self, of: SecretOf, secret: &WebhookSecret) -> Result<String, SealError> {
        PlainSeal.seal(of, secret).await
    }

    async fn open(&self, of: SecretOf, sealed: &str) -> Result<WebhookSecret, SealError> {
        if let Some(cause) = self.failure() {
            return Err(SealError { doing: "decrypted", why: "the test says so".to_owned(), cause });
        }
        PlainSeal.open(of, sealed).await
    }
}

/// The settings of a webhook that points to a receiver.
pub(crate) async fn webhook(id: WebhookId, account: AccountId, receiver: &Receiver) -> Webhook {
    let owner = SecretOf { account, webhook: id };
    let sealed = TestSeal::default().seal(owner, &WebhookSecret::new([7; 32])).await.unwrap();
    Webhook {
        id,
        url: WebhookUrl::parse(&receiver.url, AddressPolicy::AndLoopback).unwrap(),
        events: BTreeSet::new(),
        description: None,
        on_failure: OnFailure::Block,
        secrets: vec![SealedSecret { sealed, until: None }],
        rotated: false,
        created_at: start(),
        revision: 0,
    }
}

/// A ledger with a new webhook, and events that are to be delivered to it.
pub(crate) struct WebhookLedger {
    pub(crate) fixture: TestLedger,
    pub(crate) account: AccountId,
    pub(crate) webhook: WebhookId,
    pub(crate) receiver: Receiver,
    pub(crate) clock: ManualClock,
    pub(crate) seal: TestSeal,
}

pub(crate) fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

impl WebhookLedger {
    pub(crate) async fn new() -> Self {
        Self::with(OnFailure::Block).await
    }

    /// A webhook whose owner has chosen what follows when it does not accept an event.
    pub(crate) async fn with(on_failure: OnFailure) -> Self {
        let fixture = TestLedger::new().await;
        let account = fixture.open(400, start()).await;
        let receiver = Receiver::start().await;
        let id = WebhookId::new(start(), 7);
        let settings = Webhook { on_failure, ..webhook(id, account, &receiver).await };
        let clock = ManualClock::at(start());
        let post = Self { fixture, account, webhook: id, receiver, clock, seal: TestSeal::default() };
        let (activity, state) = (post.fixture.activity(), DeliveryState::new(0));
        activity.add_webhook(account, &settings, &state, moment(start())).await.unwrap();
        for number in 1..=EVENTS {
            post.emit(number).await;
        }
        post
    }

    pub(crate) async fn emit(&self, number: u64) {
        let terms = Lot {
            source: Source::Bonus,
            left: Credits::try_from(number).unwrap(),
            service: None,
            expires_at: Some(start()),
        };
        let notification = Notification::Expiring { lot: EntryId::new(start(), number.into()), terms };
        self.fixture.ledger.emit(self.account, &notification, moment(self.clock.time())).await.unwrap();
    }

    pub(crate) fn faults(&self) -> Faults {
        self.fixture.faults.clone().unwrap()
    }

    /// Runs the function `webhook-delivery`, with empty caches.
    pub(crate) async fn deliver(&self) -> Result<(), Fault> {
        self.deliver_with(&LosingQueue).await
    }

    /// The same, with the queue that it sends requests to.
    pub(crate) async fn deliver_with(&self, requests: &dyn Queue<DeliveryRequest>) -> Result<(), Fault> {
        const ROLE: &str = "webhook-delivery";
        let (ledger, activity): (Ledger, Activity) =
            (self.fixture.ledger_of(ROLE), self.fixture.activity_of(ROLE));
        let sender = WebhookClient::new(AddressPolicy::AndLoopback);
        let webhook_worker = WebhookWorker {
            ledger: &ledger,
            activity: &activity,
            seal: &self.seal,
            sender: &sender,
            requests,
            clock: &self.clock,
        };
        webhook_worker.deliver_pending(self.account).await
    }

    /// Runs a failed worker again, as the queue does, once its lease has ended; then runs the worker whenever a
    /// scheduled job is due, and only then.
    pub(crate) async fn run_until_idle(&self, failed: bool) {
        if failed {
            self.clock.advance(Duration::seconds(360));
            self.deliver().await.unwrap();
        }
        for _ in 0..50 {
            let due = self.fixture.due_jobs(DateTime::<Utc>::MAX_UTC).await;
            let due = due.into_iter().find(|noted| noted.job == Job::Webhooks(self.account));
            let Some(noted) = due else { return };
            self.clock.advance_to(noted.due);
            self.deliver().await.unwrap();
            self.fixture.ledger.remove_job(&noted).await.unwrap();
        }
        panic!("the worker still has scheduled jobs");
    }

    pub(crate) async fn state(&self) -> DeliveryState {
        self.fixture.activity().delivery_state(self.account, self.webhook).await.unwrap().unwrap()
    }

    /// Checks that every event arrived in order; a repeated event came right after the first.
    pub(crate) async fn all_is_delivered(&self, case: &str) {
        let mut numbers = self.receiver.numbers();
        numbers.dedup();
        assert_eq!(numbers, (1..=EVENTS).collect::<Vec<_>>(), "{case}");
        let state = self.state().await;
        assert_eq!((state.through, state.failures), (EVENTS, 0), "{case}");
        let of = WebhookKey { account: self.account, id: self.webhook };
        let (log, more) = self.fixture.activity().deliveries(of, None, 100).await.unwrap();
        assert_eq!((log.len() as u64, more), (EVENTS, false), "{case}");
    }

    /// The log of deliveries, oldest first.
    pub(crate) async fn log(&self) -> Vec<Delivery> {
        let of = WebhookKey { account: self.account, id: self.webhook };
        let (mut log, more) = self.fixture.activity().deliveries(of, None, 100).await.unwrap();
        assert!(!more);
        log.reverse();
        log
    }

    /// Runs the function when a message or a scheduled job calls it, until nothing is left to do. A process that fails
    /// is started again without faults, after the delay of a requeued account. Returns how many writes there were until
    /// then.
    pub(crate) async fn run_to_the_end(&self) -> usize {
        let (mut first, mut writes) = (true, None);
        for _ in 0..80 {
            match self.step(first).await {
                Ok(true) => first = false,
                Ok(false) => return writes.unwrap_or_else(|| self.faults().writes()),
                Err(_) => {
                    writes = writes.or_else(|| Some(self.faults().writes()));
                    self.faults().arm(usize::MAX, WriteFault::CrashBefore);
                    self.clock.advance(Duration::seconds(65));
                    first = true;
                }
            }
        }
        panic!("the worker still has scheduled jobs");
    }

    /// Runs the function once; `false` when nothing calls it.
    async fn step(&self, is_called: bool) -> Result<bool, Fault> {
        if is_called {
            return self.deliver().await.map(|()| true);
        }
        let due = self.fixture.find_due_jobs(DateTime::<Utc>::MAX_UTC).await?;
        let due = due.into_iter().find(|noted| noted.job == Job::Webhooks(self.account));
        let Some(noted) = due else { return Ok(false) };
        self.clock.advance_to(noted.due);
        self.deliver().await?;
        self.fixture.ledger.remove_job(&noted).await?;
        Ok(true)
    }
}
