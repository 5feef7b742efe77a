//! Webhooks, as their owners and receivers see them.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::WebhookSecret;
use http::HeaderMap;
use serde_json::{Value, json};
use tests::{Org, ReceivedWebhook, Receiver, World, unique};

pub(crate) const WEBHOOKS: &str = "/api/v3/webhooks";
pub(crate) const NOW: &str = "2024-01-15T10:00:00Z";

/// Creates a webhook that points to a receiver; returns its path and secret.
pub(crate) async fn webhook(world: &World, key: &str, to: &Receiver, events: Value) -> (String, String) {
    let body = json!({ "url": to.url, "events": events });
    let made = world.post(WEBHOOKS, key, &unique(), &body).await.created();
    let path = format!("{WEBHOOKS}/{}", made["webhookId"].as_str().unwrap());
    (path, made["secret"].as_str().unwrap().to_owned())
}

/// Causes an event: an operator adjusts an organisation's credits by one.
pub(crate) async fn adjust(world: &World, org: &str) {
    let body = json!({ "amount": 1, "source": "bonus", "reason": "Goodwill" });
    let path = format!("/admin/v1/organisations/{org}/adjustments");
    world.post(&path, world.operator(), &unique(), &body).await.created();
}

pub(crate) fn verifies(received: &ReceivedWebhook, secret: &str) -> bool {
    let secret = WebhookSecret::try_from(secret.to_owned()).unwrap();
    scrip_webhooks::verify(&[secret], &received.headers, received.text.as_bytes()).is_ok()
}

pub(crate) async fn deliveries(world: &World, path: &str, key: &str) -> Vec<Value> {
    world.get(&format!("{path}/deliveries?limit=100"), key).await.data().as_array().unwrap().clone()
}

pub(crate) async fn status(world: &World, path: &str, key: &str) -> (String, Value) {
    let reported = world.get(path, key).await.data();
    (reported["status"].as_str().unwrap().to_owned(), reported["pausedReason"].clone())
}

/// Seed: "Low Balance Alerts", "Webhook Payload".
#[tokio::test]
async fn a_low_balance_event_equals_the_seeds() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let events = json!(["credits.low_balance", "credits.depleted"]);
    let (path, secret) = webhook(&world, world.key(), &receiver, events).await;
    let body = json!({ "operation": "verification.standard", "quantity": 350 });
    world.consume(world.key(), "k1", &body).await.created();
    world.settle().await;
    let [received] = &receiver.received()[..] else { panic!("{:?}", receiver.received()) };
    tests::assert_event(&received.body);
    let seed =
        json!({ "currentBalance": 50, "threshold": 100, "message": "Your credit balance is running low" });
    assert_eq!(received.body["event"], json!("credits.low_balance"));
    assert_eq!(received.body["timestamp"], json!(NOW));
    assert_eq!(received.body["data"], seed);
    assert!(verifies(received, &secret));
    assert_eq!(received.header("content-type"), "application/json");
    assert_eq!(received.header("webhook-id"), received.body["id"].as_str().unwrap());
    assert_eq!(received.header("x-scrip-event"), "credits.low_balance");
    assert!(received.header("x-scrip-signature").starts_with("sha256="));
    assert_eq!(world.events(world.key()).await.last(), Some(&received.body));
    let [delivery] = &deliveries(&world, &path, world.key()).await[..] else { panic!() };
    assert_eq!(delivery["deliveryId"], json!(received.header("x-scrip-delivery")));
    assert_eq!((&delivery["status"], &delivery["attempt"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(delivery["request"]["body"], json!(received.text));
    assert_eq!(delivery["response"]["body"], json!("as you say"));
    let body = json!({ "operation": "verification.standard", "quantity": 50 });
    world.consume(world.key(), "k2", &body).await.created();
    world.settle().await;
    let reported: Vec<_> = receiver.taken().iter().map(|body| body["event"].clone()).collect();
    assert_eq!(reported, [json!("credits.low_balance"), json!("credits.depleted")]);
}

/// A debit from above the threshold to zero emits two events, in this order.
#[tokio::test]
async fn low_balance_comes_before_depleted() {
    let world = World::at(NOW).await;
    let body = json!({ "operation": "verification.standard", "quantity": 400 });
    world.consume(world.key(), "k1", &body).await.created();
    world.settle().await;
    let names: Vec<_> = world.events(world.key()).await.iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names.rchunks(2).next().unwrap(), [json!("credits.low_balance"), json!("credits.depleted")]);
}

#[tokio::test]
async fn missed_webhooks_arrive_in_order() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, secret) = webhook(&world, &org.key, &receiver, json!([])).await;
    receiver.answer(503);
    for minutes in 0..24 {
        adjust(&world, &org.id).await;
        world.pass(if minutes % 2 == 0 { 30 } else { 570 }).await;
    }
    assert!(receiver.taken().is_empty());
    let failing = world.get(&path, &org.key).await.data();
    assert_eq!((&failing["status"], &failing["deliveredThrough"]), (&json!("ACTIVE"), &json!(0)));
    assert_eq!(failing["consecutiveFailures"], json!(4));
    receiver.answer(200);
    adjust(&world, &org.id).await;
    world.pass(3 * 3600).await;
    // Every event once and in order: the feed equals what was delivered.
    let feed = world.events(&org.key).await;
    assert_eq!(feed.len(), 25);
    assert_eq!(receiver.taken(), feed);
    // The first delivery took five attempts with the same ids, each with its own timestamp.
    let first: Vec<_> = receiver.received().into_iter().take(5).collect();
    for received in &first {
        assert!(verifies(received, &secret));
        for name in ["webhook-id", "x-scrip-delivery"] {
            assert_eq!(received.header(name), first[0].header(name));
        }
        assert_eq!(received.text, first[0].text);
    }
    let log = deliveries(&world, &path, &org.key).await;
    assert_eq!(log.len(), 25);
    let waited = log.last().unwrap();
    assert_eq!((&waited["attempt"], &waited["attemptsMax"]), (&json!(5), &json!(10)));
    assert_eq!(waited["status"], json!("succeeded"));
    let known = world.get(&path, &org.key).await.data();
    assert_eq!((&known["deliveredThrough"], &known["consecutiveFailures"]), (&json!(25), &json!(0)));
}

/// After ten attempts in more than three days a webhook is paused, and its owner gets an event on every other
/// webhook.
#[tokio::test]
async fn an_endpoint_that_never_answers_is_paused_with_an_event() {
    let world = World::at(NOW).await;
    let (dead, alive) = (Receiver::start().await, Receiver::start().await);
    let org = world.open(1_000).await;
    let (path, _) = webhook(&world, &org.key, &dead, json!([])).await;
    webhook(&world, &org.key, &alive, json!(["webhook.paused"])).await;
    dead.answer(500);
    adjust(&world, &org.id).await;
    adjust(&world, &org.id).await;
    world.pass(3 * 24 * 3600).await;
    assert_eq!(status(&world, &path, &org.key).await, ("ACTIVE".to_owned(), Value::Null));
    world.pass(24 * 3600).await;
    assert_eq!(status(&world, &path, &org.key).await, ("PAUSED".to_owned(), json!("failing")));
    assert_eq!(dead.received().len(), 10);
    let [reported] = &alive.taken()[..] else { panic!("{:?}", alive.taken()) };
    tests::assert_event(reported);
    assert_eq!((&reported["data"]["reason"], &reported["data"]["sequence"]), (&json!("failing"), &json!(1)));
    let delivery = deliveries(&world, &path, &org.key).await.remove(0);
    assert_eq!((&delivery["status"], &delivery["attempt"]), (&json!("failed"), &json!(10)));
    assert_eq!(delivery["nextAttempt"], Value::Null);
    // Nothing more is sent until the owner resumes the webhook; then it receives everything that it missed.
    adjust(&world, &org.id).await;
    world.pass(24 * 3600).await;
    assert_eq!(dead.received().len(), 10);
    dead.answer(204);
    let resumed = world.patch(&path, &org.key, &json!({ "status": "ACTIVE" })).await.data();
    assert_eq!((&resumed["status"], &resumed["pausedReason"]), (&json!("ACTIVE"), &Value::Null));
    world.settle().await;
    assert_eq!(dead.taken(), world.events(&org.key).await);
}

#[tokio::test]
async fn an_endpoint_that_answers_gone_is_paused() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = webhook(&world, &org.key, &receiver, json!([])).await;
    receiver.answer(410);
    adjust(&world, &org.id).await;
    world.settle().await;
    assert_eq!(status(&world, &path, &org.key).await, ("DISABLED".to_owned(), json!("gone")));
    world.pass(3600).await;
    assert_eq!(receiver.received().len(), 1);
    let reported = world.events(&org.key).await.remove(1);
    tests::assert_event(&reported);
    assert_eq!((&reported["event"], &reported["data"]["reason"]), (&json!("webhook.paused"), &json!("gone")));
}

/// Redirects are not followed; `Retry-After` is respected.
#[tokio::test]
async fn a_failed_delivery_is_retried_when_the_receiver_says() {
    let world = World::at(NOW).await;
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    let org = world.open(1_000).await;
    webhook(&world, &org.key, &receiver, json!([])).await;
    let (count, to) = (AtomicU64::new(0), elsewhere.url.clone());
    receiver.answer_by(move |_| {
        let mut headers = HeaderMap::new();
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => {
                headers.insert("location", to.parse().unwrap());
                (302, headers)
            }
            1 => {
                headers.insert("retry-after", "1200".parse().unwrap());
                (429, headers)
            }
            _ => (200, headers),
        }
    });
    adjust(&world, &org.id).await;
    world.pass(6).await;
    assert_eq!(receiver.received().len(), 2);
    world.pass(1_190).await;
    assert_eq!(receiver.received().len(), 2, "the receiver asked for 20 minutes");
    world.pass(10).await;
    assert_eq!(receiver.numbers(), [1]);
    assert!(elsewhere.received().is_empty());
}

/// While one endpoint hangs, others of the same and of other organisations get their events.
#[tokio::test]
async fn no_endpoint_delays_another() {
    let world = World::patient().await;
    let (slow, quick, other) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let (org, neighbour) = (world.open(1_000).await, world.open(1_000).await);
    slow.hang();
    let (path, _) = webhook(&world, &org.key, &slow, json!([])).await;
    webhook(&world, &org.key, &quick, json!([])).await;
    webhook(&world, &neighbour.key, &other, json!([])).await;
    for Org { id, .. } in [&org, &neighbour, &org, &neighbour] {
        adjust(&world, id).await;
    }
    while quick.numbers() != [1, 2] || other.numbers() != [1, 2] || slow.received().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(deliveries(&world, &path, &org.key).await, [Value::Null; 0]);
    assert_eq!(slow.received().len(), 1);
}
