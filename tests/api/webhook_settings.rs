//! Settings of webhooks: secrets, tests, replays, pauses.

use serde_json::{Value, json};
use tests::{ApiAnswer, Receiver, World, unique};

use crate::api::webhooks::{NOW, WEBHOOKS, adjust, deliveries, status, verifies, webhook};

#[tokio::test]
async fn both_secrets_sign_for_a_day() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, first) = webhook(&world, &org.key, &receiver, json!([])).await;
    let rotate = async |body: Value| world.post(&format!("{path}/rotate-secret"), &org.key, "", &body).await;
    let second = rotate(json!({})).await.data()["secret"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    adjust(&world, &org.id).await;
    world.settle().await;
    let received = receiver.received().remove(0);
    assert!(verifies(&received, &first) && verifies(&received, &second));
    assert_eq!(received.header("webhook-signature").split(' ').count(), 2);
    // A leaked secret ends at once, and so do those before it.
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
    let (path, secret) = webhook(&world, world.key(), &receiver, json!([])).await;
    world.post(&format!("{path}/test"), world.key(), "", &json!({})).await.data();
    for path in [WEBHOOKS, &path, &format!("{path}/deliveries")] {
        let reported = world.get(path, world.key()).await.data().to_string();
        assert!(!reported.contains(&secret) && !reported.contains("whsec_"), "{reported}");
    }
    let body = json!({ "url": receiver.url });
    let first = world.post(WEBHOOKS, world.key(), "again", &body).await.created();
    let second = world.post(WEBHOOKS, world.key(), "again", &body).await;
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    let second = second.created();
    assert_eq!(second["webhookId"], first["webhookId"]);
    assert_eq!((&second["secret"], &second["secretShown"]), (&Value::Null, &json!(true)));
    assert!(first["secret"].is_string() && first["secretShown"].is_null(), "{first}");
    let rotate = format!("{path}/rotate-secret");
    let rotated = world.post(&rotate, world.key(), "new", &json!({})).await.data();
    let again = world.post(&rotate, world.key(), "new", &json!({})).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!((&again.data()["secret"], &again.data()["secretShown"]), (&Value::Null, &json!(true)));
    assert_eq!(again.data()["secretsUntil"], rotated["secretsUntil"]);
    assert_eq!(world.get(&path, world.key()).await.data()["secretsUntil"].as_array().unwrap().len(), 2);
    let other =
        world.post(WEBHOOKS, world.key(), "again", &json!({ "url": format!("{}/b", receiver.url) })).await;
    assert_eq!(other.failure(), "422 IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test]
async fn a_test_event_returns_its_outcome() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, secret) = webhook(&world, &org.key, &receiver, json!(["credits.depleted"])).await;
    let test = async |body: Value| world.post(&format!("{path}/test"), &org.key, "", &body).await;
    let reported = test(json!({})).await.data();
    assert_eq!(
        (&reported["status"], &reported["kind"], &reported["sequence"]),
        (&json!("succeeded"), &json!("test"), &json!(0))
    );
    let reported = test(json!({ "event": "credits.low_balance" })).await.data();
    assert_eq!(reported["attempts"][0]["status"], json!(200));
    for received in receiver.received() {
        assert!(verifies(&received, &secret));
        if received.body["event"] == json!("webhook.test") {
            tests::assert_event(&received.body);
        }
    }
    assert_eq!(receiver.received()[1].body["data"]["currentBalance"], json!(50));
    receiver.answer(404);
    let reported = test(json!({})).await.data();
    assert_eq!((&reported["status"], &reported["attemptsMax"]), (&json!("failed"), &json!(1)));
    assert_eq!(reported["response"]["status"], json!(404));
    world.patch(&path, &org.key, &json!({ "status": "PAUSED" })).await.data();
    receiver.answer(200);
    assert_eq!(test(json!({})).await.data()["status"], json!("succeeded"));
    assert_eq!(world.get(&path, &org.key).await.data()["consecutiveFailures"], json!(0));
    assert!(world.events(&org.key).await.is_empty());
}

#[tokio::test]
async fn webhooks_can_be_replayed_one_by_one_or_as_a_range() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = webhook(&world, &org.key, &receiver, json!([])).await;
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
async fn a_pause_keeps_events_and_owners_may_skip_them() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = webhook(&world, &org.key, &receiver, json!([])).await;
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

/// What is sent, and the description after it; none if it is refused.
#[tokio::test]
async fn a_description_is_changed_and_removed() {
    let world = World::at(NOW).await;
    let made = json!({ "url": "https://hooks.example.com/", "description": "Mine" });
    let made = world.post(WEBHOOKS, world.key(), &unique(), &made).await.created();
    let path = format!("{WEBHOOKS}/{}", made["webhookId"].as_str().unwrap());
    for (sent, then) in [
        (json!({}), Some(json!("Mine"))),
        (json!({ "description": "Ours" }), Some(json!("Ours"))),
        (json!({ "events": [] }), Some(json!("Ours"))),
        (json!({ "description": "" }), None),
        (json!({ "description": null }), Some(Value::Null)),
        (json!({ "description": null }), Some(Value::Null)),
        (json!({ "description": "Mine again" }), Some(json!("Mine again"))),
    ] {
        let answer = world.patch(&path, world.key(), &sent).await;
        match then {
            Some(then) => {
                assert_eq!(answer.data()["description"], then, "{sent}");
                assert_eq!(world.get(&path, world.key()).await.data()["description"], then, "{sent}");
            }
            None => {
                assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{sent}");
                assert!(answer.body["error"]["details"]["fields"]["description"].is_string(), "{answer:?}");
            }
        }
    }
}

/// Webhooks belong to one ledger of one organisation.
#[tokio::test]
async fn webhooks_belong_to_one_ledger() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = webhook(&world, world.key(), &receiver, json!([])).await;
    let test = world.post(&format!("{path}/test"), world.key(), "", &json!({})).await.data();
    let delivery = format!("{path}/deliveries/{}", test["deliveryId"].as_str().unwrap());
    receiver.forget();
    for key in [world.test_key(), &org.key] {
        assert_eq!(world.get(WEBHOOKS, key).await.data(), json!([]));
        let answers: Vec<ApiAnswer> = vec![
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

/// Bodies, each with the field that the error names.
#[tokio::test]
async fn an_invalid_request_names_the_field() {
    let world = World::at(NOW).await;
    let webhook = |url: &str| json!({ "url": url });
    for (body, field) in [
        (json!({}), "url"),
        (webhook("nonsense"), "url"),
        (webhook("ftp://hooks.example.com/"), "url"),
        (webhook("https://169.254.169.254/latest/meta-data"), "url"),
        (webhook("https://user@hooks.example.com/"), "url"),
        (webhook("https://10.0.0.1/"), "url"),
        (webhook("http://127.0.0.1:9001/"), "url"),
        (webhook("https://hooks.internal/"), "url"),
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
        world.post(WEBHOOKS, world.key(), &unique(), &webhook(&url)).await.created();
    }
    let refused = world.post(WEBHOOKS, world.key(), &unique(), &webhook("https://hooks.example.com/")).await;
    assert_eq!(refused.failure(), "409 CONFLICT");
    let gone = world.get(WEBHOOKS, world.key()).await.data()[0]["webhookId"].as_str().unwrap().to_owned();
    world.delete(&format!("{WEBHOOKS}/{gone}"), world.key()).await.data();
    let plain =
        world.request(http::Method::POST, WEBHOOKS, world.key()).json(&webhook("https://hooks.example.com/"));
    tests::send(plain).await.created();
}

#[tokio::test]
async fn the_inbox_shows_webhooks_and_whether_they_verify() {
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
    assert!(
        page.find("&quot;sequence&quot;") < page.find("&quot;data&quot;"),
        "in the order in which it was sent"
    );
    assert_eq!(inbox[1]["text"].as_str().unwrap().find("\"event\""), Some(1));
    world.patch(&path, world.key(), &json!({ "url": format!("{url}?answer=503") })).await.data();
    let reported = world.post(&format!("{path}/test"), world.key(), "", &json!({})).await.data();
    assert_eq!((&reported["status"], &reported["response"]["status"]), (&json!("failed"), &json!(503)));
    world.patch(&path, world.key(), &json!({ "url": format!("{url}/caf%C3%A9%20b") })).await.data();
    world.post(&format!("{path}/test"), world.key(), "", &json!({})).await.data();
    let newest = world.get("/_local/inbox", "").await.data()[0].clone();
    assert_eq!((&newest["name"], &newest["verified"]), (&json!("me/café b"), &json!(true)));
    world.delete("/_local/inbox", "").await.data();
    assert_eq!(world.get("/_local/inbox", "").await.data(), json!([]));
}
