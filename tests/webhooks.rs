//! Webhooks, as their owners and their servers see them.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use serde_json::{Value, json};
use shared::domain::HookSecret;
use tests::{Answer, Org, Received, Receiver, World, unique};

const WEBHOOKS: &str = "/api/v3/webhooks";
const NOW: &str = "2024-01-15T10:00:00Z";

/// A webhook of `key`'s that points to a receiver; its path and its secret.
async fn hook(world: &World, key: &str, to: &Receiver, events: Value) -> (String, String) {
    let body = json!({ "url": to.url, "events": events });
    let made = world.post(WEBHOOKS, key, &unique(), &body).await.created();
    let path = format!("{WEBHOOKS}/{}", made["webhookId"].as_str().unwrap());
    (path, made["secret"].as_str().unwrap().to_owned())
}

/// Has an organisation told something: an operator adjusts its credits by one.
async fn adjust(world: &World, org: &str) {
    let body = json!({ "amount": 1, "source": "bonus", "reason": "Goodwill" });
    let path = format!("/admin/v1/organisations/{org}/adjustments");
    world.post(&path, world.operator(), &unique(), &body).await.created();
}

fn verifies(received: &Received, secret: &str) -> bool {
    let secret = HookSecret::try_from(secret.to_owned()).unwrap();
    shared::hooks::verify(&[secret], &received.headers, received.text.as_bytes()).is_ok()
}

async fn deliveries(world: &World, path: &str, key: &str) -> Vec<Value> {
    world.get(&format!("{path}/deliveries?limit=100"), key).await.data().as_array().unwrap().clone()
}

async fn status(world: &World, path: &str, key: &str) -> (String, Value) {
    let told = world.get(path, key).await.data();
    (told["status"].as_str().unwrap().to_owned(), told["pausedReason"].clone())
}

/// Seed: "Low Balance Alerts", "Webhook Payload".
#[tokio::test]
async fn a_low_balance_is_told_as_the_seed_shows() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let events = json!(["credits.low_balance", "credits.depleted"]);
    let (path, secret) = hook(&world, world.key(), &receiver, events).await;
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
    // The feed has the very same, and the log the very delivery.
    assert_eq!(world.events(world.key()).await.last(), Some(&received.body));
    let [delivery] = &deliveries(&world, &path, world.key()).await[..] else { panic!() };
    assert_eq!(delivery["deliveryId"], json!(received.header("x-scrip-delivery")));
    assert_eq!((&delivery["status"], &delivery["attempt"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(delivery["request"]["body"], json!(received.text));
    assert_eq!(delivery["response"]["body"], json!("as you say"));
    // Once; and then that all are used up.
    let body = json!({ "operation": "verification.standard", "quantity": 50 });
    world.consume(world.key(), "k2", &body).await.created();
    world.settle().await;
    let told: Vec<_> = receiver.taken().iter().map(|body| body["event"].clone()).collect();
    assert_eq!(told, [json!("credits.low_balance"), json!("credits.depleted")]);
}

/// A debit from above the threshold to nothing is two events, in this order.
#[tokio::test]
async fn running_low_comes_before_running_out() {
    let world = World::at(NOW).await;
    let body = json!({ "operation": "verification.standard", "quantity": 400 });
    world.consume(world.key(), "k1", &body).await.created();
    world.settle().await;
    let names: Vec<_> = world.events(world.key()).await.iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names.rchunks(2).next().unwrap(), [json!("credits.low_balance"), json!("credits.depleted")]);
}

#[tokio::test]
async fn what_a_receiver_missed_while_it_was_down_arrives_in_order() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, secret) = hook(&world, &org.key, &receiver, json!([])).await;
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
    // All of them, once, in order: what the feed has is what was delivered.
    let feed = world.events(&org.key).await;
    assert_eq!(feed.len(), 25);
    assert_eq!(receiver.taken(), feed);
    // The first one took five attempts: the same id and the same delivery, each at its own time.
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

/// After ten attempts, more than three days, an endpoint is paused, and its owner is told wherever they listen.
#[tokio::test]
async fn an_endpoint_that_never_answers_is_paused_and_its_owner_told() {
    let world = World::at(NOW).await;
    let (dead, alive) = (Receiver::start().await, Receiver::start().await);
    let org = world.open(1_000).await;
    let (path, _) = hook(&world, &org.key, &dead, json!([])).await;
    hook(&world, &org.key, &alive, json!(["webhook.paused"])).await;
    dead.answer(500);
    adjust(&world, &org.id).await;
    adjust(&world, &org.id).await;
    world.pass(3 * 24 * 3600).await;
    assert_eq!(status(&world, &path, &org.key).await, ("ACTIVE".to_owned(), Value::Null));
    world.pass(24 * 3600).await;
    assert_eq!(status(&world, &path, &org.key).await, ("PAUSED".to_owned(), json!("failing")));
    assert_eq!(dead.received().len(), 10);
    let [told] = &alive.taken()[..] else { panic!("{:?}", alive.taken()) };
    tests::assert_event(told);
    assert_eq!((&told["data"]["reason"], &told["data"]["sequence"]), (&json!("failing"), &json!(1)));
    let delivery = deliveries(&world, &path, &org.key).await.remove(0);
    assert_eq!((&delivery["status"], &delivery["attempt"]), (&json!("failed"), &json!(10)));
    assert_eq!(delivery["nextAttempt"], Value::Null);
    // Nothing more is sent there, until its owner resumes it: then it has all that it missed.
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
async fn an_endpoint_that_says_it_is_gone_is_switched_off() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = hook(&world, &org.key, &receiver, json!([])).await;
    receiver.answer(410);
    adjust(&world, &org.id).await;
    world.settle().await;
    assert_eq!(status(&world, &path, &org.key).await, ("DISABLED".to_owned(), json!("gone")));
    world.pass(3600).await;
    assert_eq!(receiver.received().len(), 1);
    let told = world.events(&org.key).await.remove(1);
    tests::assert_event(&told);
    assert_eq!((&told["event"], &told["data"]["reason"]), (&json!("webhook.paused"), &json!("gone")));
}

/// A redirect is not followed; what asks for time is given it.
#[tokio::test]
async fn what_is_not_a_success_is_tried_again_when_it_says() {
    let world = World::at(NOW).await;
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    let org = world.open(1_000).await;
    hook(&world, &org.key, &receiver, json!([])).await;
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
    assert_eq!(receiver.received().len(), 2, "it has asked for 20 minutes");
    world.pass(10).await;
    assert_eq!(receiver.numbers(), [1]);
    assert!(elsewhere.received().is_empty());
}

/// While one endpoint of one organisation hangs, another one, and another organisation's, have theirs.
#[tokio::test]
async fn nobody_waits_for_somebody_elses_endpoint() {
    let world = World::demo().await;
    let (slow, quick, other) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let (org, neighbour) = (world.open(1_000).await, world.open(1_000).await);
    slow.hang();
    let (path, _) = hook(&world, &org.key, &slow, json!([])).await;
    hook(&world, &org.key, &quick, json!([])).await;
    hook(&world, &neighbour.key, &other, json!([])).await;
    for Org { id, .. } in [&org, &neighbour, &org, &neighbour] {
        adjust(&world, id).await;
    }
    while quick.numbers() != [1, 2] || other.numbers() != [1, 2] || slow.received().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // The slow one is at its first attempt still.
    assert_eq!(deliveries(&world, &path, &org.key).await, [Value::Null; 0]);
    assert_eq!(slow.received().len(), 1);
}

#[tokio::test]
async fn both_secrets_sign_for_a_day() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, first) = hook(&world, &org.key, &receiver, json!([])).await;
    let rotate = async |body: Value| world.post(&format!("{path}/rotate-secret"), &org.key, "", &body).await;
    let second = rotate(json!({})).await.data()["secret"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    adjust(&world, &org.id).await;
    world.settle().await;
    let received = receiver.received().remove(0);
    assert!(verifies(&received, &first) && verifies(&received, &second));
    assert_eq!(received.header("webhook-signature").split(' ').count(), 2);
    // A secret that others may know ends at once, and those before it with it.
    let third = rotate(json!({ "overlapSeconds": 0 })).await.data()["secret"].as_str().unwrap().to_owned();
    receiver.forget();
    adjust(&world, &org.id).await;
    world.settle().await;
    let received = receiver.received().remove(0);
    assert!(verifies(&received, &third));
    assert!(!verifies(&received, &first) && !verifies(&received, &second));
    assert_eq!(rotate(json!({ "overlapSeconds": 86_401 })).await.failure(), "400 VALIDATION_ERROR");
    for _ in 0..4 {
        rotate(json!({})).await.data();
    }
    assert_eq!(rotate(json!({})).await.failure(), "409 CONFLICT");
    assert_eq!(world.get(&path, &org.key).await.data()["secretsUntil"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_secret_is_shown_once_and_never_again() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let (path, secret) = hook(&world, world.key(), &receiver, json!([])).await;
    world.post(&format!("{path}/test"), world.key(), "", &json!({})).await.data();
    for path in [WEBHOOKS, &path, &format!("{path}/deliveries")] {
        let told = world.get(path, world.key()).await.data().to_string();
        assert!(!told.contains(&secret) && !told.contains("whsec_"), "{told}");
    }
    // The same request sent again shows it again: whoever lost the answer has lost nothing.
    let body = json!({ "url": receiver.url });
    let first = world.post(WEBHOOKS, world.key(), "again", &body).await;
    let second = world.post(WEBHOOKS, world.key(), "again", &body).await;
    assert_eq!(first.created(), second.created());
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    let other =
        world.post(WEBHOOKS, world.key(), "again", &json!({ "url": format!("{}/b", receiver.url) })).await;
    assert_eq!(other.failure(), "422 IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test]
async fn a_test_tells_what_came_of_it() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, secret) = hook(&world, &org.key, &receiver, json!(["credits.depleted"])).await;
    let test = async |body: Value| world.post(&format!("{path}/test"), &org.key, "", &body).await;
    let told = test(json!({})).await.data();
    assert_eq!(
        (&told["status"], &told["kind"], &told["sequence"]),
        (&json!("succeeded"), &json!("test"), &json!(0))
    );
    let told = test(json!({ "event": "credits.low_balance" })).await.data();
    assert_eq!(told["attempts"][0]["status"], json!(200));
    for received in receiver.received() {
        assert!(verifies(&received, &secret));
        if received.body["event"] == json!("webhook.test") {
            tests::assert_event(&received.body);
        }
    }
    assert_eq!(receiver.received()[1].body["data"]["currentBalance"], json!(50));
    receiver.answer(404);
    let told = test(json!({})).await.data();
    assert_eq!((&told["status"], &told["attemptsMax"]), (&json!("failed"), &json!(1)));
    assert_eq!(told["response"]["status"], json!(404));
    // It disturbs nothing, and can be sent to an endpoint that is paused.
    world.patch(&path, &org.key, &json!({ "status": "PAUSED" })).await.data();
    receiver.answer(200);
    assert_eq!(test(json!({})).await.data()["status"], json!("succeeded"));
    assert_eq!(world.get(&path, &org.key).await.data()["consecutiveFailures"], json!(0));
    assert!(world.events(&org.key).await.is_empty());
}

#[tokio::test]
async fn what_was_sent_can_be_sent_again_one_by_one_or_as_a_range() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = hook(&world, &org.key, &receiver, json!([])).await;
    for _ in 0..5 {
        adjust(&world, &org.id).await;
    }
    world.settle().await;
    assert_eq!(receiver.numbers(), [1, 2, 3, 4, 5]);
    let log = deliveries(&world, &path, &org.key).await;
    let earlier = log.iter().find(|delivery| delivery["sequence"] == json!(3)).unwrap();
    let again = format!("{path}/deliveries/{}/replay", earlier["deliveryId"].as_str().unwrap());
    let replayed = world.post(&again, &org.key, "", &json!({})).await.data();
    assert_eq!((&replayed["kind"], &replayed["status"]), (&json!("replay"), &json!("succeeded")));
    assert_eq!(replayed["eventId"], earlier["eventId"]);
    assert_ne!(replayed["deliveryId"], earlier["deliveryId"]);
    let replay = async |body: Value| world.post(&format!("{path}/replay"), &org.key, "", &body).await;
    receiver.forget();
    replay(json!({ "after": 1, "through": 4 })).await.data();
    world.settle().await;
    assert_eq!(receiver.numbers(), [2, 3, 4]);
    assert_eq!(world.get(&path, &org.key).await.data()["replay"], Value::Null);
    // One that fails is tried again like any other, and what is new does not wait behind it for good.
    receiver.forget();
    receiver.answer(500);
    replay(json!({ "after": 3 })).await.data();
    world.settle().await;
    assert_eq!(world.get(&path, &org.key).await.data()["replay"], json!({ "after": 3, "through": 5 }));
    receiver.answer(200);
    adjust(&world, &org.id).await;
    world.pass(600).await;
    assert_eq!(receiver.numbers(), [6, 4, 5]);
    for (body, problem) in [
        (json!({ "after": 0, "through": 7 }), "through"),
        (json!({ "after": 6 }), "after"),
        (json!({ "after": 9, "through": 5 }), "after"),
        (json!({ "through": 5 }), "after"),
    ] {
        let refused = replay(body.clone()).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{body}");
        assert!(refused.body["error"]["details"]["fields"][problem].is_string(), "{body}: {refused:?}");
    }
    world.patch(&path, &org.key, &json!({ "status": "PAUSED" })).await.data();
    assert_eq!(replay(json!({ "after": 0 })).await.failure(), "409 CONFLICT");
}

#[tokio::test]
async fn a_pause_keeps_what_happens_and_whoever_wants_may_pass_over_it() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = hook(&world, &org.key, &receiver, json!([])).await;
    let change = async |body: Value| world.patch(&path, &org.key, &body).await;
    change(json!({ "status": "PAUSED" })).await.data();
    assert_eq!(status(&world, &path, &org.key).await, ("PAUSED".to_owned(), json!("owner")));
    for _ in 0..4 {
        adjust(&world, &org.id).await;
    }
    world.pass(3600).await;
    assert!(receiver.received().is_empty());
    assert_eq!(change(json!({ "deliverAfter": 5 })).await.failure(), "400 VALIDATION_ERROR");
    change(json!({ "status": "ACTIVE", "deliverAfter": 2 })).await.data();
    world.settle().await;
    assert_eq!(receiver.numbers(), [3, 4]);
    // An endpoint that moves is tried at its new address at once.
    let moved = Receiver::start().await;
    receiver.answer(500);
    adjust(&world, &org.id).await;
    world.pass(60).await;
    assert_eq!(
        change(json!({ "url": moved.url, "description": "Moved" })).await.data()["consecutiveFailures"],
        json!(0)
    );
    world.settle().await;
    assert_eq!(moved.numbers(), [5]);
    // It hears of nothing but what it wants, and of nothing once it is deleted.
    change(json!({ "events": ["credits.purchased"] })).await.data();
    adjust(&world, &org.id).await;
    world.settle().await;
    assert_eq!(moved.numbers(), [5]);
    assert_eq!(world.get(&path, &org.key).await.data()["deliveredThrough"], json!(6));
    change(json!({ "events": [] })).await.data();
    moved.answer(503);
    adjust(&world, &org.id).await;
    world.settle().await;
    moved.forget();
    assert_eq!(world.delete(&path, &org.key).await.data()["deleted"], json!(true));
    world.pass(24 * 3600).await;
    assert!(moved.received().is_empty());
    for gone in [world.get(&path, &org.key).await, world.delete(&path, &org.key).await] {
        assert_eq!(gone.failure(), "404 NOT_FOUND");
    }
}

/// Each ledger, and each organisation, has webhooks of its own.
#[tokio::test]
async fn nobody_sees_or_hears_of_anothers_webhooks() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = hook(&world, world.key(), &receiver, json!([])).await;
    let test = world.post(&format!("{path}/test"), world.key(), "", &json!({})).await.data();
    let delivery = format!("{path}/deliveries/{}", test["deliveryId"].as_str().unwrap());
    receiver.forget();
    for key in [world.test_key(), &org.key] {
        assert_eq!(world.get(WEBHOOKS, key).await.data(), json!([]));
        let answers: Vec<Answer> = vec![
            world.get(&path, key).await,
            world.patch(&path, key, &json!({ "status": "PAUSED" })).await,
            world.delete(&path, key).await,
            world.post(&format!("{path}/rotate-secret"), key, "", &json!({})).await,
            world.post(&format!("{path}/test"), key, "", &json!({})).await,
            world.post(&format!("{path}/replay"), key, "", &json!({ "after": 0 })).await,
            world.get(&format!("{path}/deliveries"), key).await,
            world.get(&delivery, key).await,
            world.post(&format!("{delivery}/replay"), key, "", &json!({})).await,
        ];
        for answer in answers {
            assert_eq!(answer.failure(), "404 NOT_FOUND");
        }
    }
    adjust(&world, &org.id).await;
    let body = json!({ "operation": "verification.standard", "quantity": 350 });
    world.consume(world.test_key(), "k1", &body).await.created();
    world.settle().await;
    assert!(receiver.received().is_empty());
}

/// body => the field that is named
#[tokio::test]
async fn what_does_not_read_is_told_by_field() {
    let world = World::at(NOW).await;
    let hook = |url: &str| json!({ "url": url });
    for (body, field) in [
        (json!({}), "url"),
        (hook("nonsense"), "url"),
        (hook("ftp://hooks.example.com/"), "url"),
        (hook("https://169.254.169.254/latest/meta-data"), "url"),
        (hook("https://user@hooks.example.com/"), "url"),
        (hook("https://10.0.0.1/"), "url"),
        (hook("http://127.0.0.1:9001/"), "url"),
        (hook("https://hooks.internal/"), "url"),
        (json!({ "url": "https://hooks.example.com/", "events": ["credits.lowbalance"] }), "events[0]"),
        (json!({ "url": "https://hooks.example.com/", "events": ["webhook.test"] }), "events"),
        (json!({ "url": "https://hooks.example.com/", "event": "credits.depleted" }), "event"),
        (json!({ "url": "https://hooks.example.com/", "secret": "whsec_x" }), "secret"),
        (json!({ "url": "https://hooks.example.com/", "description": "" }), "description"),
    ] {
        let refused = world.post(WEBHOOKS, world.key(), &unique(), &body).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{body}");
        assert!(refused.body["error"]["details"]["fields"][field].is_string(), "{body}: {refused:?}");
    }
    for number in 0..20 {
        let url = format!("https://hooks.example.com/{number}");
        world.post(WEBHOOKS, world.key(), &unique(), &hook(&url)).await.created();
    }
    let refused = world.post(WEBHOOKS, world.key(), &unique(), &hook("https://hooks.example.com/")).await;
    assert_eq!(refused.failure(), "409 CONFLICT");
    // Without an Idempotency-Key, as the seed does it.
    let gone = world.get(WEBHOOKS, world.key()).await.data()[0]["webhookId"].as_str().unwrap().to_owned();
    world.delete(&format!("{WEBHOOKS}/{gone}"), world.key()).await.data();
    let plain =
        world.request(http::Method::POST, WEBHOOKS, world.key()).json(&hook("https://hooks.example.com/"));
    tests::send(plain).await.created();
}

#[tokio::test]
async fn the_inbox_shows_what_is_sent_and_whether_it_verifies() {
    let world = World::at(NOW).await;
    let url = format!("{}/_local/inbox/me", world.machine.base_url());
    let made = world.post(WEBHOOKS, world.key(), &unique(), &json!({ "url": url })).await.created();
    let path = format!("{WEBHOOKS}/{}", made["webhookId"].as_str().unwrap());
    world.post(&format!("{path}/test"), world.key(), "", &json!({})).await.data();
    world.post_plain("/_local/inbox/me", &json!({ "event": "<b>forged</b>" })).await.data();
    let inbox = world.get("/_local/inbox", "").await.data();
    let seen = |place: usize| (inbox[place]["verified"].clone(), inbox[place]["body"]["event"].clone());
    assert_eq!(seen(0), (json!(false), json!("<b>forged</b>")));
    assert_eq!(seen(1), (json!(true), json!("webhook.test")));
    assert_eq!(inbox[1]["webhookId"], made["webhookId"]);
    let page = world.request(http::Method::GET, "/_local/inbox", "").header("accept", "text/html,*/*");
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("webhook.test") && page.contains("signature verifies"), "{page}");
    assert!(!page.contains("<b>forged"));
    // An answer of one's own choice, to see what becomes of a delivery that is not taken.
    world.patch(&path, world.key(), &json!({ "url": format!("{url}?answer=503") })).await.data();
    let told = world.post(&format!("{path}/test"), world.key(), "", &json!({})).await.data();
    assert_eq!((&told["status"], &told["response"]["status"]), (&json!("failed"), &json!(503)));
    world.delete("/_local/inbox", "").await.data();
    assert_eq!(world.get("/_local/inbox", "").await.data(), json!([]));
}
