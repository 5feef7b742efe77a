use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, Allowance, ApiKey, Credits, Currency, KeyId, Mode, OrgId, Period, PlanId, Reach,
    Scope, Secret,
};
use http::{Method, Request};
use jobs::Task;
use ports::NoSeal;
use projector::{Record, project};
use scrip_http::{App, Clock, finish};
use scrip_payments::simulated::{Memory, Notice, Voice};
use scrip_payments::{Providers, Simulated, sign};
use scrip_webhooks::Sender;
use serde_json::{Value, json};
use store::{Listed, Moment, Organisation, random};
use tokio::sync::Barrier;
use tower::ServiceExt;

use crate::provider::{Bank, Meeting, Script};
use crate::queues::{Heard, Listeners, Sent, Woken};
use crate::{Books, Fault, Faults, Kind};

/// What the payment company signs its events with.
const SECRET: &str = "whsec_of_the_shop";

/// A clock for both times, moved by hand.
#[derive(Clone)]
struct Hand(Arc<Mutex<DateTime<Utc>>>);

impl Clock for Hand {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now(), wall: self.now() }
    }
}

/// The functions that sell credits, in processes that can be ended, on one database and before one
/// payment company, which outlive them.
pub struct Shop {
    /// The database.
    pub books: Books,
    /// The payment company.
    pub company: Simulated,
    /// The wire to the database; with it a process ends.
    pub faults: Faults,
    clock: Hand,
    woken: Woken,
    /// What the projector has published.
    pub published: Heard,
    sent: Sent,
    notices: Arc<Mutex<Vec<Notice>>>,
    calls: Arc<Mutex<Script>>,
    meeting: Arc<Mutex<Option<Meeting>>>,
}

impl Shop {
    /// A shop without customers.
    pub async fn open(now: DateTime<Utc>) -> Self {
        let books = Books::new().await;
        let faults = books.faults.clone().unwrap();
        books.settings().load(&local::catalogue().unwrap()).await.unwrap();
        let clock = Hand(Arc::new(Mutex::new(now)));
        let notices = Arc::<Mutex<Vec<Notice>>>::default();
        let (told, time) = (notices.clone(), clock.clone());
        let voice = Voice {
            secret: SECRET.to_owned().into(),
            listener: Box::new(move |notice| told.lock().unwrap().push(notice)),
            now: Box::new(move || time.now()),
        };
        let memory = Memory::Remembering { earlier: vec![], journal: None };
        let company = Simulated::new(memory, "http://bank.example".to_owned(), Some(voice));
        let woken = Woken::default();
        let sent = Sent::default();
        Self {
            books,
            company,
            faults,
            clock,
            woken,
            published: Heard::default(),
            sent,
            notices,
            calls: Arc::default(),
            meeting: Arc::default(),
        }
    }

    /// A customer with a monthly allowance, and its key.
    pub async fn customer(&self, allowance: u64) -> (AccountId, String) {
        let now = self.now();
        let org = OrgId::new(now, random());
        let plan = PlanId::try_from("professional".to_owned()).unwrap();
        let allowance = Allowance::Monthly(Credits::try_from(allowance).unwrap());
        let settings = self.books.settings();
        let organisation = Organisation {
            org,
            name: "Own".into(),
            plan: plan.clone(),
            allowance,
            currency: Currency::GBP,
            customer: None,
            spending_limit: None,
            self_service_plans: true,
            created_at: now,
        };
        settings.add_organisation(&organisation).await.unwrap();
        let id = AccountId { org, mode: Mode::Live };
        let app = self.process();
        for mode in [Mode::Live, Mode::Test] {
            let id = AccountId { org, mode };
            app.ledger.open(&Account::open(id, plan.clone(), allowance, now)).await.unwrap();
            app.ledger.catch_up(id, app.clock.moment()).await.unwrap();
        }
        let mut bytes = [0u8; 34];
        bytes.iter_mut().zip(random().to_be_bytes()).for_each(|(byte, random)| *byte = random);
        let secret = Secret::for_organisation(Mode::Live, bytes);
        let key = ApiKey {
            key_id: KeyId::new(now, random()),
            org: Some(org),
            mode: Mode::Live,
            scopes: Scope::ALL.into(),
            last4: secret.last4(),
            description: None,
            created_at: now,
            revoked_at: None,
        };
        settings.add_key(&secret, &key).await.unwrap();
        (id, secret.reveal().to_owned())
    }

    /// A process that has just started.
    pub fn process(&self) -> Arc<App> {
        let bank = Arc::new(Bank {
            inner: self.company.clone(),
            faults: self.faults.clone(),
            script: self.calls.clone(),
            meeting: self.meeting.clone(),
        });
        Arc::new(App {
            cursors: scrip_http::CursorKey::none(),
            ledger: self.books.restarted(),
            settings: self.books.settings(),
            clock: Arc::new(self.clock.clone()),
            providers: Providers { live: bank.clone(), test: bank },
            recharges: Arc::new(self.woken.clone()),
            tasks: Arc::new(self.sent.clone()),
            activity: self.books.activity(),
            bus: Arc::new(self.published.clone()),
            deliveries: Arc::new(self.published.clone()),
            seal: Arc::new(NoSeal),
            sender: Arc::new(Sender::new(Reach::Public)),
        })
    }

    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Lets time pass.
    pub fn pass(&self, seconds: i64) {
        let mut now = self.clock.0.lock().unwrap();
        *now = now.checked_add_signed(Duration::seconds(seconds)).unwrap();
    }

    /// From now on nothing goes wrong, neither a call of it nor a write; both are counted anew.
    pub fn heal(&self) {
        *self.calls.lock().unwrap() = (0, None);
        self.faults.arm(usize::MAX, Kind::CrashBefore);
    }

    /// From now on the payment company answers no question for an order until `orders` questions wait. The counter
    /// counts the questions that it answers.
    pub fn meet(&self, orders: usize) -> Arc<AtomicUsize> {
        let meeting = Meeting { barrier: Arc::new(Barrier::new(orders)), met: Arc::default() };
        let met = meeting.met.clone();
        *self.meeting.lock().unwrap() = Some(meeting);
        met
    }

    /// From now on this goes wrong, and nothing else.
    pub fn strike(&self, fault: Fault) {
        self.heal();
        match fault {
            Fault::Write(number, kind) => self.faults.arm(number, kind),
            Fault::Call(number, fault) => *self.calls.lock().unwrap() = (0, Some((number, fault))),
        }
    }

    /// How many writes and how many calls of the payment company there were since.
    pub fn steps(&self) -> (usize, usize) {
        (self.faults.writes(), self.calls.lock().unwrap().0)
    }

    /// Sends a purchase to a fresh process; the status and the body of its answer.
    pub async fn buy(&self, key: &str, name: &str, body: &Value) -> (u16, Value) {
        let request = Request::post("/api/v3/credits/purchase")
            .header("authorization", format!("Bearer {key}"))
            .header("idempotency-key", name)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        answer(finish(purchase::routes(), self.process()), request.unwrap()).await
    }

    /// Sends a request to a fresh process of whichever function answers it; the status and the body of its
    /// answer.
    pub async fn call(
        &self,
        (method, path): (Method, &str),
        (key, name): (&str, &str),
        body: &Value,
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method.clone()).uri(path);
        request = request.header("authorization", format!("Bearer {key}"));
        if !name.is_empty() {
            request = request.header("idempotency-key", name);
        }
        let body = if method == Method::GET { Body::empty() } else { Body::from(body.to_string()) };
        let request = request.header("content-type", "application/json").body(body).unwrap();
        answer(finish(local::functions(), self.process()), request).await
    }

    /// The round of the present month comes to an account's part of the directory.
    pub async fn turn(&self, account: AccountId) {
        let (month, shard) = (Period::of(self.now()), Listed::shard(account));
        self.sent.push(Task::Round { month, shard });
        self.work().await;
    }

    /// Does the tasks that can be taken, each in a fresh process; one that fails comes again later, as the queue
    /// has it, and so do those behind it.
    pub async fn work(&self) {
        for _ in 0..10_000 {
            let Some(message) = self.sent.take(self.now()) else { return };
            let app = self.process();
            if Box::pin(renewal::perform(&app, message.task, app.clock.moment())).await.is_err() {
                self.sent.put_back(message, self.now());
                return;
            }
        }
        panic!("after ten thousand tasks there are still some left");
    }

    /// Delivers all events that the payment company has told so far, the latest first: they come in any
    /// order, and each of them is delivered again later.
    pub async fn deliver(&self) {
        self.deliver_in(true).await;
    }

    /// Delivers them, the latest first or the earliest; how each was answered.
    pub async fn deliver_in(&self, backwards: bool) -> Vec<u16> {
        let mut told = self.notices.lock().unwrap().clone();
        if backwards {
            told.reverse();
        }
        let mut answers = Vec::new();
        for Notice { signature, body } in told {
            let request = Request::builder().method(Method::POST).uri("/api/v3/payments/events");
            let request = request.header("stripe-signature", signature).body(Body::from(body)).unwrap();
            let router = finish(payments::routes(), self.process());
            answers.push(answer(router, request).await.0);
        }
        answers
    }

    /// The payment company sends its events again: it signs each sending at its own time.
    pub fn sign_again(&self) {
        let secret = SECRET.to_owned().into();
        for notice in self.notices.lock().unwrap().iter_mut() {
            notice.signature = sign(&secret, &notice.body, self.now());
        }
    }

    /// Somebody changes the events on their way, and can't sign them.
    pub fn forge(&self, from: &str, to: &str) {
        for notice in self.notices.lock().unwrap().iter_mut() {
            let body = String::from_utf8(notice.body.clone()).unwrap();
            assert!(body.contains(from), "{body}");
            notice.body = body.replace(from, to).into_bytes();
        }
    }

    /// Forgets the events that were told so far.
    pub fn forget_events(&self) {
        self.notices.lock().unwrap().clear();
    }

    /// The reconcile schedule fires.
    pub async fn reconcile(&self) {
        let app = self.process();
        reconcile::tick(&app, app.clock.moment()).await.ok();
    }

    /// Looks after auto-recharge of an account, in a fresh process.
    pub async fn look(&self, account: AccountId) {
        let app = self.process();
        recharge::attend(&app, account, app.clock.moment()).await.ok();
    }

    /// Handles the wakes that wait.
    pub async fn attend(&self) {
        for account in self.woken.take_all() {
            self.look(account).await;
        }
    }

    /// Works the stream off; what the projector tells others waits until they handle it.
    pub async fn project(&mut self) {
        let listeners = self.listeners();
        self.books.follower.drain(&self.books.ledger, &listeners.others()).await.unwrap();
    }

    /// Works off records of the stream as one batch, in a fresh process; the place of the first that has to come
    /// again.
    pub async fn follow(&self, records: &[Record]) -> Option<String> {
        project(&self.books.restarted(), &self.listeners().others(), records.iter().cloned()).await
    }

    fn listeners(&self) -> Listeners {
        Listeners {
            activity: self.books.activity(),
            bus: self.published.clone(),
            wakes: self.woken.clone(),
            tasks: self.sent.clone(),
            moment: Moment { now: self.now(), wall: self.now() },
        }
    }

    /// Faults are over: time passes until nobody has anything left to do. Whatever falls due is done when it does:
    /// errands by the schedule, and tasks that have failed by the queue, which brings them again.
    pub async fn come_to_rest(&mut self) {
        self.heal();
        for _ in 0..200 {
            self.project().await;
            self.attend().await;
            self.work().await;
            let errand = self.books.ledger.next_errand().await.unwrap();
            let Some(due) = errand.into_iter().chain(self.sent.next()).min() else { return };
            let now = self.now();
            self.pass(due.signed_duration_since(now).num_seconds().max(0).saturating_add(1));
            self.reconcile().await;
        }
        panic!("after two hundred rounds there is still something left to do");
    }

    /// Payments that were taken and not given back, by transaction: credits are owed for just these.
    pub fn taken(&self, account: AccountId) -> BTreeMap<String, u64> {
        let charges = self.company.charges().into_iter();
        let ours = charges.filter(|charge| {
            let taken = charge.state == scrip_payments::simulated::State::Succeeded && !charge.refunded;
            taken && charge.purchase().account == account
        });
        ours.map(|charge| (charge.transaction.to_string(), charge.price.amount())).collect()
    }

    /// Purchases that the ledger has granted, by transaction.
    pub async fn granted(&self, account: AccountId) -> BTreeMap<String, u64> {
        let rows = self.books.rows(account, self.now()).await;
        let bought = rows.into_iter().filter_map(|row| row.details.paid);
        let mut granted = BTreeMap::new();
        for paid in bought {
            let twice = granted.insert(paid.transaction.to_string(), paid.price.amount());
            assert_eq!(twice, None, "a purchase is granted once");
        }
        granted
    }
}

async fn answer(router: Router, request: Request<Body>) -> (u16, Value) {
    let Ok(response) = router.oneshot(request).await;
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(json!(null)))
}

/// Tells a count past the test harness, which keeps what tests print to itself.
pub fn count(told: &str) {
    std::io::stderr().write_all(format!("{told}\n").as_bytes()).unwrap();
}
