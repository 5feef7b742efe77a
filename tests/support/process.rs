//! Processes that a test can kill, with a database and a payment provider that outlive them.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, AddressPolicy, Allowance, ApiKey, ApiKeySecret, Credits, KeyId, Mode, OrgId, Period,
    PlanId, Scope,
};
use http::{Method, Request};
use jobs::RenewalTask;
use jobs::projection::{Record, project};
use scrip_http::{App, CursorKey, finish};
use scrip_payments::simulated::{ChargeMemory, EventSender, SignedEvent};
use scrip_payments::{Providers, Simulated, sign};
use scrip_webhooks::WebhookClient;
use serde_json::{Value, json};
use store::{Activity, DirectoryEntry, Ledger, Moment, Organisation, Settings, random};
use tokio::sync::Barrier;
use tower::ServiceExt;

use crate::files::{ExportRequests, StoredFiles};
use crate::provider::{CallScript, CallTimes, FlakyProvider, Meeting};
use crate::queues::{Listeners, PublishedEvents, RechargeRequests, RenewalTasks};
use crate::{ApiRequest, FaultAt, Faults, ManualClock, PlainSeal, TestLedger, WriteFault};

/// The secret that the payment provider signs its events with.
const SECRET: &str = "whsec_of_the_provider";

/// A process with the functions of payments that a test can kill at any write or provider call. The database and
/// the payment provider outlive it.
pub struct TestProcess {
    /// The database.
    pub fixture: TestLedger,
    /// The payment provider.
    pub provider: Simulated,
    /// The connection to the database; killing it ends the process.
    pub faults: Faults,
    clock: ManualClock,
    recharges: RechargeRequests,
    /// The events that the projector has published.
    pub published: PublishedEvents,
    renewals: RenewalTasks,
    /// The files of exports.
    pub files: StoredFiles,
    pub(crate) exports: ExportRequests,
    notices: Arc<Mutex<Vec<SignedEvent>>>,
    calls: Arc<Mutex<CallScript>>,
    meeting: Arc<Mutex<Option<Meeting>>>,
    pub(crate) latency: Arc<Mutex<CallTimes>>,
}

impl TestProcess {
    /// A database with the catalogue and without customers.
    pub async fn open(now: DateTime<Utc>) -> Self {
        let fixture = TestLedger::new().await;
        let faults = fixture.faults.clone().unwrap();
        fixture.settings().load(&local::catalogue().unwrap()).await.unwrap();
        let clock = ManualClock::at(now);
        let notices = Arc::<Mutex<Vec<SignedEvent>>>::default();
        let (kept, time) = (notices.clone(), clock.clone());
        let voice = EventSender {
            secret: SECRET.to_owned().into(),
            listener: Box::new(move |notice| kept.lock().unwrap().push(notice)),
            now: Box::new(move || time.time()),
        };
        let memory = ChargeMemory::Complete { earlier: vec![], journal: None };
        let provider = Simulated::new(memory, "http://bank.example".to_owned(), Some(voice));
        let recharges = RechargeRequests::default();
        let renewals = RenewalTasks::default();
        let files = StoredFiles::new(faults.clone());
        Self {
            fixture,
            provider,
            faults,
            clock,
            recharges,
            published: PublishedEvents::default(),
            files,
            exports: ExportRequests::default(),
            renewals,
            notices,
            calls: Arc::default(),
            meeting: Arc::default(),
            latency: Arc::default(),
        }
    }

    /// A new customer with a monthly allowance: its account and API key.
    pub async fn customer(&self, allowance: u64) -> (AccountId, String) {
        let now = self.now();
        let org = OrgId::new(now, random());
        let plan = PlanId::try_from("professional".to_owned()).unwrap();
        let allowance = Allowance::Monthly(Credits::try_from(allowance).unwrap());
        let settings = self.fixture.settings();
        let organisation = Organisation {
            self_service_plans: true,
            ..Organisation::new(org, "Own", plan.clone(), allowance, now)
        };
        settings.add_organisation(&organisation).await.unwrap();
        let id = AccountId { org, mode: Mode::Live };
        let app = self.start();
        for mode in [Mode::Live, Mode::Test] {
            let id = AccountId { org, mode };
            app.ledger.open(&Account::open(id, plan.clone(), allowance, now)).await.unwrap();
            app.ledger.catch_up(id, app.clock.moment()).await.unwrap();
        }
        (id, self.api_key(id).await)
    }

    /// A new API key of an account, with every scope.
    pub async fn api_key(&self, account: AccountId) -> String {
        let mut bytes = [0u8; 34];
        bytes.iter_mut().zip(random().to_be_bytes()).for_each(|(byte, random)| *byte = random);
        let secret = ApiKeySecret::for_organisation(account.mode, bytes);
        let key_id = KeyId::new(self.now(), random());
        let key = ApiKey::new(key_id, Some(account.org), Scope::ALL.into(), &secret, self.now());
        self.fixture.settings().add_key(&secret, &key).await.unwrap();
        secret.reveal().to_owned()
    }

    /// A newly started process that may do everything.
    pub fn start(&self) -> Arc<App> {
        self.process(self.fixture.restarted(), self.fixture.settings(), self.fixture.activity())
    }

    /// A newly started process of a function, with the rights of its role.
    pub fn start_as(&self, function: &str) -> Arc<App> {
        let fixture = &self.fixture;
        self.process(
            fixture.ledger_of(function),
            fixture.settings_of(function),
            fixture.activity_of(function),
        )
    }

    fn process(&self, ledger: Ledger, settings: Settings, activity: Activity) -> Arc<App> {
        let provider = Arc::new(FlakyProvider {
            inner: self.provider.clone(),
            faults: self.faults.clone(),
            script: self.calls.clone(),
            meeting: self.meeting.clone(),
            latency: self.latency.clone(),
        });
        Arc::new(App {
            cursors: CursorKey::new(format!("a key of cursors, {SECRET}")).unwrap(),
            ledger,
            settings,
            clock: Arc::new(self.clock.clone()),
            providers: Providers { live: provider.clone(), test: provider },
            recharges: Arc::new(self.recharges.clone()),
            tasks: Arc::new(self.renewals.clone()),
            activity,
            bus: Arc::new(self.published.clone()),
            deliveries: Arc::new(self.published.clone()),
            seal: Arc::new(PlainSeal),
            files: Arc::new(self.files.clone()),
            dashboard: None,
            is_https: false,
            mailer: None,
            exports: Arc::new(self.exports.clone()),
            sender: Arc::new(WebhookClient::new(AddressPolicy::Public)),
        })
    }

    /// The time of the clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.time()
    }

    /// Advances the clock.
    pub fn pass(&self, seconds: i64) {
        self.clock.advance(Duration::seconds(seconds));
    }

    /// Ends all faults; writes and provider calls are counted from 0 again.
    pub fn clear_faults(&self) {
        *self.calls.lock().unwrap() = (0, None);
        self.faults.arm(usize::MAX, WriteFault::CrashBefore);
    }

    /// The provider answers no lookup of an order until `orders` lookups wait. The counter counts the lookups
    /// that went on.
    pub fn meet(&self, orders: usize) -> Arc<AtomicUsize> {
        let meeting = Meeting { barrier: Arc::new(Barrier::new(orders)), met: Arc::default() };
        let met = meeting.met.clone();
        *self.meeting.lock().unwrap() = Some(meeting);
        met
    }

    /// From now on every answer of the provider takes this long, by the runtime's clock.
    pub fn delay_provider(&self, latency: std::time::Duration) {
        self.latency.lock().unwrap().every = latency;
    }

    /// From now on only `fault` occurs.
    pub fn inject(&self, fault: FaultAt) {
        self.clear_faults();
        match fault {
            FaultAt::Write(number, kind) => self.faults.arm(number, kind),
            FaultAt::Call(number, fault) => *self.calls.lock().unwrap() = (0, Some((number, fault))),
        }
    }

    /// The numbers of writes and of provider calls since the last [`TestProcess::inject`].
    pub fn steps(&self) -> (usize, usize) {
        (self.faults.writes(), self.calls.lock().unwrap().0)
    }

    /// Sends a purchase to a new process; returns status and body.
    pub async fn buy(&self, key: &str, name: &str, body: &Value) -> (u16, Value) {
        let request = Request::post("/api/v3/credits/purchase")
            .header("authorization", format!("Bearer {key}"))
            .header("idempotency-key", name)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        answer(finish(purchase::routes(), self.start_as("purchase")), request.unwrap()).await
    }

    /// Reads a path from a new process of a function, with the rights of its role; returns status and body.
    pub async fn read_as(&self, function: &str, path: &str, key: &str) -> (u16, Value) {
        let (_, routes) = local::routers().into_iter().find(|(name, _)| *name == function).unwrap();
        let request = Request::get(path).header("authorization", format!("Bearer {key}")).body(Body::empty());
        answer(finish(routes, self.start_as(function)), request.unwrap()).await
    }

    /// Sends a request to a new process of the function that serves its route; returns status and body.
    pub async fn call(&self, call: &ApiRequest<'_>) -> (u16, Value) {
        self.warm().call(call).await
    }

    /// Delivers the renewal task of the current month for the account's shard of the directory.
    pub async fn renew_month(&self, account: AccountId) {
        let (month, shard) = (Period::of(self.now()), DirectoryEntry::shard(account));
        self.renewals.push(RenewalTask::Round { month, shard });
        self.run_renewal_queue().await;
    }

    /// Runs the visible renewal tasks, each in a new process. A task that fails becomes visible again later, as
    /// in the queue, and the tasks after it wait.
    pub async fn run_renewal_queue(&self) {
        for _ in 0..10_000 {
            let Some(message) = self.renewals.take(self.now()) else { return };
            let app = self.start_as("renewal");
            if Box::pin(renewal::perform(&app, message.task, app.clock.moment())).await.is_err() {
                self.renewals.put_back(message, self.now());
                return;
            }
        }
        panic!("tasks are left after ten thousand of them");
    }

    /// Delivers every event of the provider, newest first: events may arrive in any order and more than once.
    pub async fn deliver(&self) {
        self.deliver_in(true).await;
    }

    /// Delivers every event, newest or oldest first; returns the statuses of the answers.
    pub async fn deliver_in(&self, backwards: bool) -> Vec<u16> {
        let mut notices = self.notices.lock().unwrap().clone();
        if backwards {
            notices.reverse();
        }
        let mut answers = Vec::new();
        for SignedEvent { signature, body } in notices {
            let request = Request::builder().method(Method::POST).uri("/api/v3/payments/events");
            let request = request.header("stripe-signature", signature).body(Body::from(body)).unwrap();
            let router = finish(payments::routes(), self.start_as("payments"));
            answers.push(answer(router, request).await.0);
        }
        answers
    }

    /// Signs every event again, at the current time, as the provider does for each attempt.
    pub fn sign_again(&self) {
        let secret = SECRET.to_owned().into();
        for notice in self.notices.lock().unwrap().iter_mut() {
            notice.signature = sign(&secret, &notice.body, self.now());
        }
    }

    /// Changes the bodies of the events without signing them again.
    pub fn forge(&self, from: &str, to: &str) {
        for notice in self.notices.lock().unwrap().iter_mut() {
            let body = String::from_utf8(notice.body.clone()).unwrap();
            assert!(body.contains(from), "{body}");
            notice.body = body.replace(from, to).into_bytes();
        }
    }

    /// Drops the events that the provider has sent.
    pub fn forget_events(&self) {
        self.notices.lock().unwrap().clear();
    }

    /// Runs `reconcile`, in a new process.
    pub async fn reconcile(&self) {
        let app = self.start_as("reconcile");
        reconcile::tick(&app, app.clock.moment()).await.ok();
    }

    /// Runs auto-recharge of an account, in a new process.
    pub async fn run_recharge(&self, account: AccountId) {
        let app = self.start_as("recharge");
        recharge::attend(&app, account, app.clock.moment()).await.ok();
    }

    /// Runs auto-recharge of every account in the recharge queue.
    pub async fn run_recharge_queue(&self) {
        for account in self.recharges.take_all() {
            self.run_recharge(account).await;
        }
    }

    /// Projects every record of the stream; what the projector enqueues waits until the test runs it.
    pub async fn project(&mut self) {
        let listeners = self.listeners();
        self.fixture.follower.drain(&self.fixture.ledger, &listeners.others()).await.unwrap();
    }

    /// Projects records of the stream as one batch, in a new process; returns the position of the first that
    /// has to be delivered again.
    pub async fn project_records(&self, records: &[Record]) -> Option<String> {
        project(&self.fixture.restarted(), &self.listeners().others(), records.iter().cloned()).await
    }

    fn listeners(&self) -> Listeners {
        Listeners {
            activity: self.fixture.activity(),
            settings: self.fixture.settings_of("projector"),
            bus: self.published.clone(),
            recharge_requests: self.recharges.clone(),
            tasks: self.renewals.clone(),
            moment: Moment { now: self.now(), wall: self.now() },
        }
    }

    /// Ends all faults and advances the clock until no work is left: scheduled jobs run when they are due, and
    /// failed tasks when they become visible again.
    pub async fn run_until_idle(&mut self) {
        self.clear_faults();
        for _ in 0..200 {
            self.project().await;
            self.run_recharge_queue().await;
            self.run_renewal_queue().await;
            self.run_export_queue().await;
            let job = self.fixture.ledger.next_job_due().await.unwrap();
            let Some(due) = job.into_iter().chain(self.renewals.next()).min() else { return };
            let now = self.now();
            self.pass(due.signed_duration_since(now).num_seconds().max(0).saturating_add(1));
            self.reconcile().await;
        }
        panic!("work is left after two hundred rounds");
    }

    /// The payments that were taken and not refunded, by transaction: credits are owed for exactly these.
    pub fn taken(&self, account: AccountId) -> BTreeMap<String, u64> {
        let charges = self.provider.charges().into_iter();
        let ours = charges.filter(|charge| {
            let taken = charge.state == scrip_payments::simulated::ChargeState::Succeeded && !charge.refunded;
            taken && charge.purchase().account == account
        });
        ours.map(|charge| (charge.transaction.to_string(), charge.price.amount())).collect()
    }

    /// The purchases that the ledger has granted, by transaction.
    pub async fn granted(&self, account: AccountId) -> BTreeMap<String, u64> {
        let rows = self.fixture.rows(account, self.now()).await;
        let bought = rows.into_iter().filter_map(|row| row.details.paid);
        let mut granted = BTreeMap::new();
        for paid in bought {
            let twice = granted.insert(paid.transaction.to_string(), paid.price.amount());
            assert_eq!(twice, None, "a purchase is granted once");
        }
        granted
    }
}

pub(crate) async fn answer(router: Router, request: Request<Body>) -> (u16, Value) {
    let Ok(response) = router.oneshot(request).await;
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(json!(null)))
}
