//! Events that a receiver never accepts: what the owner chooses, and what the receiver asks for.

use http::HeaderMap;
use serde_json::{Value, json};
use tests::{Org, Receiver, World, unique};

use crate::api::webhook_deliveries::log;
use crate::api::webhooks::{NOW, WEBHOOKS, adjust, deliveries, status, webhook};

/// A receiver that answers 400, with a header, to the event of this number.
fn refuse(receiver: &Receiver, number: u64, header: Option<(&'static str, &'static str)>) {
    receiver.answer_by(move |body| {
        let headers = header.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        match body["sequence"] == number {
            true => (400, HeaderMap::from_iter(headers)),
            false => (200, HeaderMap::new()),
        }
    });
}

async fn world() -> (World, Receiver, Org, String) {
    let world = World::at(NOW).await;
    let receiver = Receiver::start().await;
    let org = world.open(1_000).await;
    let (path, _) = webhook(&world, &org.key, &receiver, json!([])).await;
    (world, receiver, org, path)
}

#[tokio::test]
async fn an_event_is_skipped_as_its_owner_chose_and_can_be_replayed() {
    let (world, receiver, org, path) = world().await;
    let rule = json!({ "action": "skip", "afterAttempts": 2 });
    let changed = world.patch(&path, &org.key, &json!({ "onFailure": rule })).await.data();
    assert_eq!((&changed["onFailure"], &changed["skipped"]), (&rule, &Value::Null));
    refuse(&receiver, 2, None);
    for _ in 0..3 {
        adjust(&world, &org.id).await;
    }
    world.settle().await;
    assert_eq!(receiver.numbers(), [1]);
    assert_eq!(log(&world, &path, &org.key).await, ["2 event retrying 1/2", "1 event succeeded 1/2"]);
    world.pass(6).await;
    assert_eq!(receiver.numbers(), [1, 3]);
    assert_eq!(
        log(&world, &path, &org.key).await,
        ["3 event succeeded 1/2", "2 event skipped 2/2", "1 event succeeded 1/2"]
    );
    let shown = world.get(&path, &org.key).await.data();
    assert_eq!((&shown["status"], &shown["deliveredThrough"]), (&json!("ACTIVE"), &json!(3)));
    let (skipped, at) = (&shown["skipped"], shown["skipped"]["lastAt"].as_str().unwrap());
    assert_eq!((&skipped["count"], &skipped["lastSequence"]), (&json!(1), &json!(2)));
    assert!(("2024-01-15T10:00:05Z"..="2024-01-15T10:00:06Z").contains(&at), "{at}");
    // Once the receiver accepts it, it is replayed alone or in a range.
    receiver.answer(200);
    receiver.forget();
    let line = deliveries(&world, &path, &org.key).await.remove(1);
    let again = format!("{path}/deliveries/{}/replay", line["deliveryId"].as_str().unwrap());
    assert_eq!(world.post(&again, &org.key, "", &json!({})).await.data()["status"], "succeeded");
    let range = json!({ "after": 1, "through": 2 });
    world.post(&format!("{path}/replay"), &org.key, "", &range).await.data();
    world.settle().await;
    assert_eq!(receiver.numbers(), [2, 2]);
    assert_eq!(world.get(&path, &org.key).await.data()["skipped"]["count"], json!(1));
}

/// A webhook that blocks is freed by a change of its rule, without waiting for the next retry.
#[tokio::test]
async fn a_blocked_webhook_continues_when_its_owner_chooses_to_skip() {
    let (world, receiver, org, path) = world().await;
    let shown = world.get(&path, &org.key).await.data();
    assert_eq!(shown["onFailure"], json!({ "action": "block", "afterAttempts": null }));
    refuse(&receiver, 1, None);
    adjust(&world, &org.id).await;
    adjust(&world, &org.id).await;
    world.pass(2_400).await;
    assert_eq!(log(&world, &path, &org.key).await, ["1 event retrying 4/10"]);
    let rule = |attempts: u32| json!({ "onFailure": { "action": "skip", "afterAttempts": attempts } });
    world.patch(&path, &org.key, &rule(5)).await.data();
    world.settle().await;
    assert_eq!(log(&world, &path, &org.key).await, ["1 event retrying 4/10"]);
    world.patch(&path, &org.key, &rule(3)).await.data();
    world.settle().await;
    assert_eq!(receiver.numbers(), [2]);
    assert_eq!(log(&world, &path, &org.key).await, ["2 event succeeded 1/3", "1 event skipped 5/3"]);
    world.patch(&path, &org.key, &json!({ "onFailure": { "action": "block" } })).await.data();
    refuse(&receiver, 3, None);
    adjust(&world, &org.id).await;
    world.pass(400).await;
    assert_eq!(log(&world, &path, &org.key).await[0], "3 event retrying 3/10");
}

/// An endpoint that accepts nothing any more is paused as without skipping, and says so.
#[tokio::test]
async fn a_dead_endpoint_is_paused_although_it_skips() {
    let (world, receiver, org, path) = world().await;
    world
        .patch(&path, &org.key, &json!({ "onFailure": { "action": "skip", "afterAttempts": 1 } }))
        .await
        .data();
    receiver.answer(500);
    adjust(&world, &org.id).await;
    world.settle().await;
    world.pass(4 * 24 * 3600).await;
    assert_eq!(status(&world, &path, &org.key).await, ("ACTIVE".to_owned(), Value::Null));
    adjust(&world, &org.id).await;
    world.settle().await;
    assert_eq!(status(&world, &path, &org.key).await, ("PAUSED".to_owned(), json!("failing")));
    let names: Vec<_> = world.events(&org.key).await.iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names[2..], [json!("webhook.paused")]);
}

/// What is sent, and the field that the error names; none where it is accepted, with the rule that follows.
#[tokio::test]
async fn a_rule_that_makes_no_sense_is_refused() {
    let world = World::at(NOW).await;
    let attempts = Some("onFailure.afterAttempts");
    for (sent, then, problem) in [
        (json!({ "action": "block" }), json!({ "action": "block", "afterAttempts": null }), None),
        (json!({ "action": "skip" }), json!({ "action": "skip", "afterAttempts": 10 }), None),
        (
            json!({ "action": "skip", "afterAttempts": 1 }),
            json!({ "action": "skip", "afterAttempts": 1 }),
            None,
        ),
        (json!({ "action": "skip", "afterAttempts": 0 }), Value::Null, attempts),
        (json!({ "action": "skip", "afterAttempts": 11 }), Value::Null, attempts),
        (json!({ "action": "skip", "afterAttempts": -1 }), Value::Null, attempts),
        (json!({ "action": "block", "afterAttempts": 3 }), Value::Null, attempts),
        (json!({ "action": "drop" }), Value::Null, Some("onFailure.action")),
        (json!({ "action": "skip", "after": 3 }), Value::Null, Some("onFailure.after")),
    ] {
        let body = json!({ "url": "https://hooks.example.com/", "onFailure": sent });
        let answer = world.post(WEBHOOKS, world.key(), &unique(), &body).await;
        match problem {
            None => assert_eq!(answer.created()["onFailure"], then, "{sent}"),
            Some(field) => {
                assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{sent}");
                assert!(answer.body["error"]["details"]["fields"][field].is_string(), "{sent}: {answer:?}");
            }
        }
    }
}

/// The header of the answer to one event; the log, newest first; what was accepted.
#[tokio::test]
async fn a_receiver_can_abort_one_message() {
    for (header, expected, accepted) in [
        (
            Some(("webhook-delivery", "abort-message")),
            vec!["2 event succeeded 1/10", "1 event aborted 1/10"],
            vec![2],
        ),
        (
            Some(("Webhook-Delivery", "Abort-Message")),
            vec!["2 event succeeded 1/10", "1 event aborted 1/10"],
            vec![2],
        ),
        (Some(("webhook-delivery", "disable")), vec!["1 event retrying 1/10"], vec![]),
        (None, vec!["1 event retrying 1/10"], vec![]),
    ] {
        let (world, receiver, org, path) = world().await;
        refuse(&receiver, 1, header);
        adjust(&world, &org.id).await;
        adjust(&world, &org.id).await;
        world.settle().await;
        assert_eq!(log(&world, &path, &org.key).await, expected, "{header:?}");
        assert_eq!(receiver.numbers(), accepted, "{header:?}");
        assert_eq!(world.get(&path, &org.key).await.data()["skipped"], Value::Null);
    }
}

/// The status of the answer with `abort-message`; the status of the delivery; of the webhook.
#[tokio::test]
async fn abort_message_counts_whatever_the_status_unless_it_is_a_success() {
    for (code, delivery) in
        [(200, "succeeded"), (204, "succeeded"), (302, "aborted"), (410, "aborted"), (503, "aborted")]
    {
        let (world, receiver, org, path) = world().await;
        receiver.answer_by(move |_| {
            let header = ("webhook-delivery".parse().unwrap(), "abort-message".parse().unwrap());
            (code, HeaderMap::from_iter([header]))
        });
        adjust(&world, &org.id).await;
        world.pass(3_600).await;
        assert_eq!(log(&world, &path, &org.key).await, [format!("1 event {delivery} 1/10")], "{code}");
        assert_eq!(status(&world, &path, &org.key).await.0, "ACTIVE", "{code}");
        let tested = world.post(&format!("{path}/test"), &org.key, "", &json!({})).await.data();
        assert_eq!(tested["status"], delivery, "{code}");
    }
}
