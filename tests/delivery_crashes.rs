//! Whoever dies over a delivery, and wherever: what follows is delivered, in order, and nothing is lost.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, Utc};
use domain::{
    AccountId, Credits, DeliveryStanding, DeliveryState, EntryId, Flow, HookSecret, HookUrl, Lot, News,
    Reach, SealedSecret, Source, Webhook, WebhookId,
};
use ports::{Queue, QueueError, Seal, SecretOf, Unsealed};
use scrip_webhooks::{Courier, DeliveryRequest, Now, Sender};
use store::{Activity, Errand, Fault, Ledger, Moment, WebhookKey};
use tests::{Books, Faults, Kind, Receiver};

const EVENTS: u64 = 4;

/// A clock for both times, moved by hand.
struct Hand(Mutex<DateTime<Utc>>);

impl Now for Hand {
    fn now(&self) -> Moment {
        let now = *self.0.lock().unwrap();
        Moment { now, wall: now }
    }
}

/// A queue that takes what it is given, and loses it: errands have it looked at.
pub(crate) struct Nobody;

#[async_trait]
impl Queue<DeliveryRequest> for Nobody {
    async fn send(&self, _: &DeliveryRequest, _: u16) -> Result<(), QueueError> {
        Ok(())
    }
}

/// Secrets that lie open.
struct Open;

#[async_trait]
impl Seal for Open {
    async fn seal(&self, _: SecretOf, secret: &HookSecret) -> Result<String, Unsealed> {
        Ok(STANDARD.encode(secret.reveal()))
    }

    async fn open(&self, _: SecretOf, sealed: &str) -> Result<HookSecret, Unsealed> {
        let text = String::from_utf8(STANDARD.decode(sealed).unwrap()).unwrap();
        Ok(HookSecret::try_from(text).unwrap())
    }
}

/// Books with a webhook that has heard of nothing yet, and events that it is to hear of.
struct Post {
    books: Books,
    account: AccountId,
    webhook: WebhookId,
    receiver: Receiver,
    clock: Hand,
}

fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

impl Post {
    async fn new() -> Self {
        let books = Books::new().await;
        let account = books.open(400, start()).await;
        let receiver = Receiver::start().await;
        let webhook = WebhookId::new(start(), 7);
        let sealed = Open.seal(SecretOf { account, webhook }, &HookSecret::new([7; 32])).await.unwrap();
        let settings = Webhook {
            id: webhook,
            url: HookUrl::parse(&receiver.url, Reach::AndLoopback).unwrap(),
            events: BTreeSet::new(),
            description: None,
            secrets: vec![SealedSecret { sealed, until: None }],
            rotated: false,
            created_at: start(),
            revision: 0,
        };
        let post = Self { books, account, webhook, receiver, clock: Hand(Mutex::new(start())) };
        post.books.activity().add_webhook(account, &settings, &DeliveryState::new(0)).await.unwrap();
        for number in 1..=EVENTS {
            post.tell(number).await;
        }
        post
    }

    async fn tell(&self, number: u64) {
        let terms = Lot {
            source: Source::Bonus,
            left: Credits::try_from(number).unwrap(),
            service: None,
            expires_at: Some(start()),
        };
        let news = News::Expiring { lot: EntryId::new(start(), number.into()), terms };
        self.books.ledger.tell(self.account, &news, self.clock.now()).await.unwrap();
    }

    fn faults(&self) -> Faults {
        self.books.faults.clone().unwrap()
    }

    /// The function `webhook-delivery`, just started.
    async fn look(&self) -> Result<(), Fault> {
        let (ledger, activity): (Ledger, Activity) = (self.books.restarted(), self.books.activity());
        let sender = Sender::new(Reach::AndLoopback);
        let courier = Courier {
            ledger: &ledger,
            activity: &activity,
            seal: &Open,
            sender: &sender,
            requests: &Nobody,
            clock: &self.clock,
        };
        courier.look(self.account).await
    }

    /// Whoever failed is called again, as the queue has it, when nobody else can be at work any more; and then
    /// whenever an errand is due, and never otherwise.
    async fn come_to_rest(&self, failed: bool) {
        if failed {
            *self.clock.0.lock().unwrap() += Duration::seconds(360);
            self.look().await.unwrap();
        }
        for _ in 0..50 {
            let due = self.books.ledger.errands(DateTime::<Utc>::MAX_UTC).await.unwrap();
            let due = due.into_iter().find(|noted| noted.errand == Errand::Webhooks(self.account));
            let Some(noted) = due else { return };
            {
                let mut now = self.clock.0.lock().unwrap();
                *now = noted.due.max(*now);
            }
            self.look().await.unwrap();
            self.books.ledger.cross_out(&noted).await.unwrap();
        }
        panic!("there is no end to it");
    }

    async fn state(&self) -> DeliveryState {
        self.books.activity().delivery_state(self.account, self.webhook).await.unwrap().unwrap()
    }

    /// Everything has arrived, in order; what came twice came so one right after the other.
    async fn all_is_delivered(&self, told: &str) {
        let mut numbers = self.receiver.numbers();
        numbers.dedup();
        assert_eq!(numbers, (1..=EVENTS).collect::<Vec<_>>(), "{told}");
        let state = self.state().await;
        assert_eq!((state.through, state.failures), (EVENTS, 0), "{told}");
        let of = WebhookKey { account: self.account, id: self.webhook };
        let (log, more) = self.books.activity().deliveries(of, None, 100).await.unwrap();
        assert_eq!((log.len() as u64, more), (EVENTS, false), "{told}");
    }
}

/// The deliverer dies at every write, or its answer or its request is lost, with a receiver that takes everything
/// and with one that takes each event at the second attempt only.
#[tokio::test]
async fn a_deliverer_that_dies_at_any_write_loses_nothing() {
    let mut cases = 0;
    for refuses in [false, true] {
        let mut number = 0;
        loop {
            let mut was_reached = false;
            for kind in [
                Kind::CrashBefore,
                Kind::CrashAfter,
                Kind::AnswerLost,
                Kind::RequestLost,
                Kind::Throttled,
                Kind::ServerError,
            ] {
                let post = Post::new().await;
                if refuses {
                    let mut seen = BTreeSet::new();
                    post.receiver.answer_by(move |body| {
                        let is_new = seen.insert(body["sequence"].as_u64());
                        (if is_new { 500 } else { 200 }, http::HeaderMap::new())
                    });
                }
                let told = format!("write {number}, {kind:?}, refuses {refuses}");
                post.faults().arm(number, kind);
                let failed = post.look().await.is_err();
                was_reached |= number < post.faults().writes();
                post.faults().arm(usize::MAX, kind);
                post.come_to_rest(failed).await;
                post.all_is_delivered(&told).await;
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

/// Many look at once: each event is sent once, in order, whoever sends it.
#[tokio::test(flavor = "multi_thread")]
async fn however_many_look_at_once_one_delivers() {
    for _ in 0..5 {
        let post = Arc::new(Post::new().await);
        let all = (0..16).map(|_| {
            let post = post.clone();
            tokio::spawn(async move { post.look().await.unwrap() })
        });
        for one in all.collect::<Vec<_>>() {
            one.await.unwrap();
        }
        // Who came too late for the lease has left it to whoever had it.
        post.all_is_delivered("at once").await;
        assert_eq!(post.receiver.received().len() as u64, EVENTS);
    }
}

/// An event that is told while somebody delivers is delivered too, though whoever is sent for it finds the webhook
/// in other hands.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_meanwhile_is_not_left_lying() {
    for _ in 0..20 {
        let post = Arc::new(Post::new().await);
        let delivering = post.clone();
        let delivering = tokio::spawn(async move { delivering.look().await.unwrap() });
        post.tell(EVENTS + 1).await;
        post.look().await.unwrap();
        delivering.await.unwrap();
        assert_eq!(post.receiver.numbers(), (1..=EVENTS + 1).collect::<Vec<_>>());
    }
}

/// Its owner changes how far a webhook is while an attempt is under way: both count.
#[tokio::test(flavor = "multi_thread")]
async fn what_its_owner_does_meanwhile_stands() {
    let post = Arc::new(Post::new().await);
    let (books, account, webhook) = (post.books.activity(), post.account, post.webhook);
    let books = Arc::new(books);
    let runtime = tokio::runtime::Handle::current();
    let mut first = true;
    post.receiver.answer_by(move |_| {
        if std::mem::take(&mut first) {
            let pause = books.clone();
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
    post.look().await.unwrap();
    // The one under way was taken; none after it was begun.
    assert_eq!(post.receiver.numbers(), [1]);
    let state = post.state().await;
    assert_eq!((state.through, state.is_active()), (1, false));
    post.books.activity().change_delivery_state(account, webhook, DeliveryState::resumed).await.unwrap();
    post.look().await.unwrap();
    post.all_is_delivered("resumed").await;
}

/// Its owner has deliveries begun afresh while an attempt is under way: what that comes to does not undo it.
#[tokio::test(flavor = "multi_thread")]
async fn what_its_owner_begins_afresh_meanwhile_is_sent_afresh() {
    let post = Arc::new(Post::new().await);
    let (activity, account, webhook) = (Arc::new(post.books.activity()), post.account, post.webhook);
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
    post.look().await.unwrap();
    assert_eq!(post.receiver.numbers(), [1, 2, 3, 1, 2, 3, 4]);
    assert_eq!(post.state().await.through, EVENTS);
}

/// An attempt that fails after its owner has begun afresh is of the run before: it does not count, and its line does
/// not wait.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_its_owner_overtakes_leaves_no_line_that_waits() {
    let changes: [fn(&DeliveryState) -> DeliveryState; 3] =
        [|known| known.from_after(0), |known| known.paused().resumed(), DeliveryState::unhindered];
    for (place, change) in changes.into_iter().enumerate() {
        let post = Arc::new(Post::new().await);
        let (activity, account, webhook) = (Arc::new(post.books.activity()), post.account, post.webhook);
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
        post.come_to_rest(true).await;
        let state = post.state().await;
        assert_eq!((state.through, state.failures), (EVENTS, 0), "{place}");
        let (log, _) =
            post.books.activity().deliveries(WebhookKey { account, id: webhook }, None, 100).await.unwrap();
        let told = log.into_iter().map(|line| line.by(&state)).map(|line| (line.number, line.standing));
        let (mut told, anew): (Vec<_>, Vec<_>) =
            told.partition(|(_, standing)| *standing == DeliveryStanding::Superseded);
        assert_eq!(told.pop(), Some((1, DeliveryStanding::Superseded)), "{place}");
        assert_eq!(told, [], "{place}");
        assert_eq!(anew.len() as u64, EVENTS, "{place}");
        assert!(anew.iter().all(|(_, standing)| *standing == DeliveryStanding::Succeeded), "{place}");
    }
}

/// A wait is on the agenda before it is written down, by real time, whatever clock the account has.
#[tokio::test]
async fn somebody_is_had_to_look_when_a_wait_is_over() {
    let post = Post::new().await;
    post.receiver.answer(500);
    post.look().await.unwrap();
    let due = post.state().await.retry_at.unwrap();
    let noted = post.books.ledger.errands(due).await.unwrap();
    let errands: Vec<_> = noted.iter().map(|noted| (noted.errand, noted.due, noted.is_own)).collect();
    assert!(errands.contains(&(Errand::Webhooks(post.account), due, false)), "{errands:?}");
    assert!((5..=6).contains(&(due - start()).num_seconds()));
}

/// A queue that remembers for whom it was called.
#[derive(Default)]
struct Called(Mutex<Vec<AccountId>>);

#[async_trait]
impl Queue<DeliveryRequest> for Called {
    async fn send(&self, request: &DeliveryRequest, _: u16) -> Result<(), QueueError> {
        self.0.lock().unwrap().push(request.account());
        Ok(())
    }
}

/// Nobody was called for the events that are there, for the bus has lost them: whoever goes round calls, as long as
/// not all were delivered.
#[tokio::test]
async fn a_call_that_the_bus_has_lost_is_made_by_who_goes_round() {
    let post = Post::new().await;
    let (called, activity) = (Called::default(), post.books.activity());
    let round = async || {
        let others = tests::others(&activity);
        let told = &mut |_: &str| ();
        local::follow_accounts((&post.books.ledger, &others, &called), || tests::moment(start()), told)
            .await
            .unwrap();
        std::mem::take(&mut *called.0.lock().unwrap())
    };
    assert_eq!(round().await, [post.account]);
    post.look().await.unwrap();
    assert_eq!(post.receiver.received().len() as u64, EVENTS);
    assert_eq!(round().await, []);
    // One that is paused waits for its owner.
    post.tell(EVENTS + 1).await;
    let state = activity.delivery_state(post.account, post.webhook).await.unwrap().unwrap();
    let paused = DeliveryState { status: Flow::Paused, ..state };
    activity.save_delivery_state(post.account, post.webhook, &paused).await.unwrap().unwrap();
    assert_eq!(round().await, []);
}
