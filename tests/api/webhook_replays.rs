//! Replays of ranges: one at a time, and none is lost without a word.

use serde_json::{Value, json};
use tests::{ApiAnswer, Org, Receiver, World};

use crate::api::webhook_deliveries::log;
use crate::api::webhooks::{NOW, adjust, webhook};

/// A webhook that has got five events and now answers 500.
struct Replays {
    world: World,
    receiver: Receiver,
    org: Org,
    path: String,
}

impl Replays {
    async fn new() -> Self {
        let world = World::at(NOW).await;
        let receiver = Receiver::start().await;
        let org = world.open(1_000).await;
        let (path, _) = webhook(&world, &org.key, &receiver, json!([])).await;
        for _ in 0..5 {
            adjust(&world, &org.id).await;
        }
        world.settle().await;
        receiver.answer(500);
        receiver.forget();
        Self { world, receiver, org, path }
    }

    async fn replay(&self, name: &str, body: &Value) -> ApiAnswer {
        let answer = self.world.post(&format!("{}/replay", self.path), &self.org.key, name, body).await;
        self.world.settle().await;
        answer
    }

    async fn running(&self) -> Value {
        self.world.get(&self.path, &self.org.key).await.data()["replay"].clone()
    }

    async fn finish(&self) -> Vec<u64> {
        self.receiver.answer(200);
        self.world.pass(600).await;
        self.receiver.numbers()
    }
}

/// The refusal names the range that is running and says what to do; the running range is delivered in full.
#[tokio::test]
async fn a_second_range_is_refused_while_one_is_being_replayed() {
    let replays = Replays::new().await;
    replays.replay("", &json!({ "after": 1, "through": 3 })).await.data();
    for second in
        [json!({ "after": 3 }), json!({ "after": 1, "through": 3 }), json!({ "after": 3, "replace": false })]
    {
        let refused = replays.replay("", &second).await;
        assert_eq!(refused.failure(), "409 CONFLICT", "{second}");
        let error = &refused.body["error"];
        assert_eq!(error["details"]["replay"], json!({ "after": 1, "through": 3 }), "{second}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("the events 2 to 3") && message.contains("replace: true"), "{message}");
    }
    assert_eq!(replays.finish().await, [2, 3]);
    assert_eq!(replays.running().await, Value::Null);
    replays.replay("", &json!({ "after": 3 })).await.data();
    assert_eq!(replays.receiver.numbers(), [2, 3, 4, 5]);
}

#[tokio::test]
async fn an_owner_can_replace_a_range() {
    let replays = Replays::new().await;
    replays.replay("", &json!({ "after": 0, "through": 3 })).await.data();
    let replaced = replays.replay("", &json!({ "after": 3, "replace": true })).await.data();
    assert_eq!(replaced["replay"], json!({ "after": 3, "through": 5 }));
    assert_eq!(
        log(&replays.world, &replays.path, &replays.org.key).await[..2],
        ["4 replay retrying 1/10".to_owned(), "1 replay superseded 1/10".to_owned()]
    );
    assert_eq!(replays.finish().await, [4, 5]);
}

/// A request sent again under its key is not refused for its own range, and replays nothing twice.
#[tokio::test]
async fn a_repeated_request_is_answered_and_replays_once() {
    let replays = Replays::new().await;
    let body = json!({ "after": 2, "through": 4 });
    let first = replays.replay("once", &body).await.data();
    assert_eq!(replays.replay("once", &body).await.data(), first);
    assert_eq!(replays.finish().await, [3, 4]);
    assert_eq!(replays.replay("once", &body).await.data(), first);
    assert_eq!(replays.receiver.numbers(), [3, 4]);
}

/// With `onFailure: skip` a replay goes on behind an event that is not accepted; else it ends there.
#[tokio::test]
async fn a_replay_skips_as_its_owner_chose() {
    let replays = Replays::new().await;
    let rule = json!({ "onFailure": { "action": "skip", "afterAttempts": 1 } });
    replays.world.patch(&replays.path, &replays.org.key, &rule).await.data();
    replays
        .receiver
        .answer_by(|body| (if body["sequence"] == 2 { 400 } else { 200 }, http::HeaderMap::new()));
    replays.replay("", &json!({ "after": 0, "through": 3 })).await.data();
    assert_eq!(replays.receiver.numbers(), [1, 3]);
    assert_eq!(replays.running().await, Value::Null);
    let log = log(&replays.world, &replays.path, &replays.org.key).await;
    assert_eq!(
        log[..3],
        ["3 replay succeeded 1/1", "2 replay skipped 1/1", "1 replay succeeded 1/1"].map(str::to_owned)
    );
}
