//! The log of deliveries: its states are correct, and its order is the order of sending.

use serde_json::{Value, json};
use tests::{Receiver, World, unique};

use crate::api::webhooks::{NOW, adjust, deliveries, webhook};

/// The log, newest first: number, event, status and attempts of each delivery.
pub(crate) async fn log(world: &World, path: &str, key: &str) -> Vec<String> {
    let reported = |one: &Value| {
        let [sequence, attempt, most] = ["sequence", "attempt", "attemptsMax"].map(|name| one[name].clone());
        let [kind, status] = ["kind", "status"].map(|name| one[name].as_str().unwrap());
        assert_eq!(one["attempts"].as_array().unwrap().len() as u64, attempt.as_u64().unwrap());
        assert!(status == "retrying" || one["nextAttempt"].is_null(), "{one}");
        format!("{sequence} {kind} {status} {attempt}/{most}")
    };
    deliveries(world, path, key).await.iter().map(reported).collect()
}

/// Each row: what an owner does after the second attempt, and the log, newest first.
#[tokio::test]
async fn settings_during_a_retry_leave_nothing_waiting() {
    const LEFT: &str = "1 event superseded 2/10";
    const ANEW: [&str; 2] = ["1 event retrying 1/10", LEFT];
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    receiver.answer(500);
    let moved = json!({ "url": format!("{}/moved", receiver.url) });
    let (pause, resume) = (json!({ "status": "PAUSED" }), json!({ "status": "ACTIVE" }));
    for (changes, expected) in [
        (vec![json!({ "description": "Mine" })], vec!["1 event retrying 2/10"]),
        (vec![resume.clone()], vec!["1 event retrying 2/10"]),
        (vec![json!({ "url": receiver.url })], vec!["1 event retrying 2/10"]),
        (vec![json!({ "deliverAfter": 0 })], ANEW.to_vec()),
        (vec![json!({ "deliverAfter": 1 })], vec![LEFT]),
        (vec![moved.clone()], ANEW.to_vec()),
        (vec![pause.clone()], vec![LEFT]),
        (vec![pause.clone(), moved.clone()], vec![LEFT]),
        (vec![pause.clone(), resume], ANEW.to_vec()),
        (vec![json!({ "deliverAfter": 0 }), moved], vec![ANEW[0], "1 event superseded 1/10", LEFT]),
    ] {
        let org = world.open(1_000).await;
        let (path, _) = webhook(&world, &org.key, &receiver, json!([])).await;
        adjust(&world, &org.id).await;
        world.pass(6).await;
        for change in &changes {
            world.patch(&path, &org.key, change).await.data();
            world.settle().await;
        }
        assert_eq!(log(&world, &path, &org.key).await, expected, "{changes:?}");
        for delivery in deliveries(&world, &path, &org.key).await {
            let one = format!("{path}/deliveries/{}", delivery["deliveryId"].as_str().unwrap());
            assert_eq!(world.get(&one, &org.key).await.data(), delivery, "{changes:?}");
        }
    }
}

/// An event that is unsubscribed during its retries is not retried.
#[tokio::test]
async fn an_unsubscribed_event_is_not_retried() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = webhook(&world, &org.key, &receiver, json!([])).await;
    receiver.answer(500);
    adjust(&world, &org.id).await;
    world.settle().await;
    world.patch(&path, &org.key, &json!({ "events": ["credits.purchased"] })).await.data();
    world
        .post(
            "/api/v3/credits/purchase",
            &org.key,
            &unique(),
            &json!({ "package": "starter", "paymentMethod": "card_1" }),
        )
        .await
        .created();
    world.settle().await;
    receiver.forget();
    receiver.answer(200);
    world.pass(60).await;
    assert_eq!(log(&world, &path, &org.key).await, ["2 event succeeded 2/10", "1 event superseded 1/10"]);
    let sent = receiver.taken();
    assert_eq!(sent.iter().map(|body| &body["event"]).collect::<Vec<_>>(), ["credits.purchased"]);
}

/// A new URL gets all attempts again, and every page shows the same number of failures.
#[tokio::test]
async fn a_new_url_gets_all_attempts_again() {
    let world = World::at(NOW).await;
    let (before, after) = (Receiver::start().await, Receiver::start().await);
    let org = world.open(1_000).await;
    let (path, _) = webhook(&world, &org.key, &before, json!([])).await;
    for receiver in [&before, &after] {
        receiver.answer(500);
    }
    adjust(&world, &org.id).await;
    world.pass(400).await;
    assert_eq!(log(&world, &path, &org.key).await, ["1 event retrying 3/10"]);
    world.patch(&path, &org.key, &json!({ "url": after.url })).await.data();
    world.pass(6).await;
    let expected = ["1 event retrying 2/10", "1 event superseded 3/10"];
    assert_eq!(log(&world, &path, &org.key).await, expected);
    let log = deliveries(&world, &path, &org.key).await;
    assert_eq!([&log[0]["request"]["url"], &log[1]["request"]["url"]], [&after.url, &before.url]);
    let known = world.get(&path, &org.key).await.data();
    assert_eq!(known["consecutiveFailures"], log[0]["attempt"]);
    assert_eq!(known["nextAttempt"], log[0]["nextAttempt"]);
}

#[tokio::test]
async fn a_replaced_range_is_not_waited_for() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = webhook(&world, &org.key, &receiver, json!([])).await;
    for _ in 0..2 {
        adjust(&world, &org.id).await;
    }
    world.settle().await;
    receiver.answer(500);
    for after in [0, 1] {
        let body = json!({ "after": after, "replace": true });
        world.post(&format!("{path}/replay"), &org.key, "", &body).await.data();
        world.settle().await;
    }
    let earlier =
        ["1 replay superseded 1/10", "2 event succeeded 1/10", "1 event succeeded 1/10"].map(str::to_owned);
    let reported = log(&world, &path, &org.key).await;
    assert_eq!((reported[0].as_str(), &reported[1..]), ("2 replay retrying 1/10", &earlier[..]));
    // A paused webhook has no retry pending; after it is resumed, delivery starts again at once.
    world.patch(&path, &org.key, &json!({ "status": "PAUSED" })).await.data();
    assert_eq!(log(&world, &path, &org.key).await[0], "2 replay superseded 1/10");
    receiver.answer(200);
    world.patch(&path, &org.key, &json!({ "status": "ACTIVE" })).await.data();
    world.settle().await;
    let reported = log(&world, &path, &org.key).await;
    assert_eq!(reported[..2], ["2 replay succeeded 1/10", "2 replay superseded 1/10"]);
    assert_eq!(reported[2..], earlier);
}

/// With the clock stopped, and with replays long after an event: the log is in the order of sending, newest first.
#[tokio::test]
async fn the_log_is_in_the_order_of_sending() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = webhook(&world, &org.key, &receiver, json!([])).await;
    let test = async || world.post(&format!("{path}/test"), &org.key, "", &json!({})).await.data();
    for _ in 0..2 {
        for _ in 0..4 {
            adjust(&world, &org.id).await;
        }
        world.settle().await;
        test().await;
    }
    let oldest = deliveries(&world, &path, &org.key).await.pop().unwrap();
    let again = format!("{path}/deliveries/{}/replay", oldest["deliveryId"].as_str().unwrap());
    world.post(&again, &org.key, "", &json!({})).await.data();
    world.patch(&path, &org.key, &json!({ "deliverAfter": 5 })).await.data();
    world.pass(3600).await;
    world.post(&format!("{path}/replay"), &org.key, "", &json!({ "after": 2, "through": 6 })).await.data();
    world.settle().await;
    test().await;
    let sent = receiver.received();
    let sent: Vec<_> = sent.iter().rev().map(|one| one.header("x-scrip-delivery").to_owned()).collect();
    assert_eq!(sent.len(), 4 + 1 + 4 + 1 + 1 + 3 + 4 + 1);
    let mut read = Vec::new();
    for limit in [1, 3, 100] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = world.get(&format!("{path}/deliveries?limit={limit}{cursor}"), &org.key).await;
            seen.extend(page.data().as_array().unwrap().clone());
            match page.body["meta"]["pagination"]["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let ids: Vec<_> = seen.iter().map(|one| one["deliveryId"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids, sent, "{limit} a page");
        read = seen;
    }
    let times: Vec<_> = read.iter().map(|one| one["createdAt"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|one, next| one >= next), "{times:?}");
}

/// The next attempt is made by the time that was announced.
#[tokio::test]
async fn the_next_attempt_is_made_by_the_announced_time() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = webhook(&world, &org.key, &receiver, json!([])).await;
    receiver.answer(500);
    adjust(&world, &org.id).await;
    world.settle().await;
    for made in 1..6 {
        assert_eq!(receiver.received().len(), made);
        let next = world.get(&path, &org.key).await.data()["nextAttempt"].clone();
        assert_eq!(deliveries(&world, &path, &org.key).await[0]["nextAttempt"], next);
        world.post_plain("/_local/clock", &json!({ "now": next })).await.data();
        world.settle().await;
    }
    assert_eq!(receiver.received().len(), 6);
}

/// Attempts belong to their event: unwanted events before it are skipped, and stay so whatever the owner subscribes
/// to later.
#[tokio::test]
async fn attempts_stay_with_their_event() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = webhook(&world, &org.key, &receiver, json!(["credits.purchased"])).await;
    let set = async |body: Value| {
        world.patch(&path, &org.key, &body).await.data();
        world.settle().await;
    };
    receiver.answer(500);
    set(json!({ "status": "PAUSED" })).await;
    adjust(&world, &org.id).await;
    let starter = json!({ "package": "starter", "paymentMethod": "card_1" });
    world.post("/api/v3/credits/purchase", &org.key, &unique(), &starter).await.created();
    world.settle().await;
    set(json!({ "status": "ACTIVE" })).await;
    assert_eq!(log(&world, &path, &org.key).await, ["2 event retrying 1/10"]);
    world.pass(6).await;
    set(json!({ "events": [] })).await;
    assert_eq!(log(&world, &path, &org.key).await, ["2 event retrying 2/10"]);
    receiver.forget();
    receiver.answer(200);
    set(json!({ "events": ["credits.adjusted"] })).await;
    assert_eq!(log(&world, &path, &org.key).await, ["2 event superseded 2/10"]);
    adjust(&world, &org.id).await;
    world.settle().await;
    assert_eq!(receiver.numbers(), [3]);
}

/// A replayed range is retried when it is due, even if new events fail at the same time.
#[tokio::test]
async fn a_replayed_range_is_retried_when_due_beside_new_events() {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = webhook(&world, &org.key, &receiver, json!([])).await;
    adjust(&world, &org.id).await;
    world.settle().await;
    receiver.answer(500);
    world.post(&format!("{path}/replay"), &org.key, "", &json!({ "after": 0 })).await.data();
    world.settle().await;
    adjust(&world, &org.id).await;
    world.settle().await;
    world.pass(10).await;
    let mut seen = log(&world, &path, &org.key).await;
    seen.sort();
    assert_eq!(seen, ["1 event succeeded 1/10", "1 replay retrying 2/10", "2 event retrying 2/10"]);
}
