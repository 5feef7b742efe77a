//! API keys that spend far more than they used to: announced, paused, resumed.

use domain::{AccountId, Mode};
use http::Method;
use serde_json::{Value, json};
use tests::{ApiRequest, TestProcess, WarmProcess, assert_event, unique};

const KEYS: &str = "/api/v3/api-keys";
const SWITCHES: &str = "/api/v3/organization-settings";
const CONSUME: &str = "/api/v3/credits/consume";
const HOUR: i64 = 3_600;

/// An organisation with a key that has been used now and then for nine days, and another one that manages keys.
struct Scene {
    process: TestProcess,
    account: AccountId,
    key: String,
    key_id: String,
    manager: String,
}

impl Scene {
    async fn new(mode: Mode, action: &str) -> Self {
        let process = TestProcess::open("2024-01-02T08:00:00Z".parse().unwrap()).await;
        let (live, manager) = process.customer(1_000_000).await;
        let account = AccountId { mode, ..live };
        let body = json!({ "mode": mode, "name": "Service", "scopes": tests::EVERY_SCOPE });
        let made = ApiRequest::new(Method::POST, KEYS, &manager).with(&body);
        let made = process.call(&made).await.1["data"].clone();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let mut scene = Self { account, key: text("key"), key_id: text("keyId"), manager, process };
        let change = json!({ "runawayKeys": action });
        assert_eq!(scene.send(Method::PATCH, SWITCHES, &scene.manager, &change).await.0, 200);
        for _ in 0..8 {
            assert_eq!(scene.spend(10).await.0, 201);
            scene.process.pass(30 * HOUR);
        }
        scene
    }

    async fn send(&self, method: Method, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let name = unique();
        self.process.call(&ApiRequest::new(method, path, key).under(&name).with(body)).await
    }

    /// A debit with the key, which the projector then sees; its status and code.
    async fn spend(&mut self, credits: u64) -> (u16, Value) {
        let body = json!({ "operation": "aml.basic", "quantity": credits });
        let (status, answer) = self.send(Method::POST, CONSUME, &self.key, &body).await;
        self.process.project().await;
        (status, answer["error"]["code"].clone())
    }

    /// What was announced of the key: name, action or null, credits or null.
    async fn announced(&self) -> Vec<(String, Value, Value)> {
        let (status, body) = self.send(Method::GET, "/api/v3/events", &self.key, &Value::Null).await;
        assert_eq!(status, 200, "a paused key reads: {body}");
        let events = body["data"].as_array().unwrap().iter();
        let of_key = events.filter(|event| event["event"].as_str().unwrap().starts_with("key."));
        of_key
            .map(|event| {
                assert_event(event);
                assert_eq!(event["data"]["keyId"], json!(self.key_id));
                let data = &event["data"];
                (event["event"].as_str().unwrap().to_owned(), data["action"].clone(), data["spent"].clone())
            })
            .collect()
    }

    async fn resume(&self, by: &str) -> (u16, Value) {
        self.send(Method::POST, &format!("{KEYS}/{}/resume", self.key_id), by, &json!({})).await
    }

    async fn paused_at(&self) -> Value {
        let path = format!("{KEYS}/{}", self.key_id);
        self.send(Method::GET, &path, &self.manager, &Value::Null).await.1["data"]["pausedAt"].clone()
    }
}

fn runaway(action: &str, spent: u64) -> (String, Value, Value) {
    ("key.runaway".to_owned(), json!(action), json!(spent))
}

#[tokio::test]
async fn a_key_is_announced_once_a_day_and_goes_on() {
    let mut scene = Scene::new(Mode::Live, "announce").await;
    for (credits, expected) in
        [(200, vec![]), (1, vec![runaway("announced", 201)]), (5_000, vec![runaway("announced", 201)])]
    {
        assert_eq!(scene.spend(credits).await, (201, Value::Null));
        assert_eq!(scene.announced().await, expected, "after {credits}");
    }
    assert_eq!(scene.paused_at().await, Value::Null);
    // It is the key's usual rate from then on, and what is far beyond that is announced the next day.
    scene.process.pass(23 * HOUR);
    scene.spend(100_000).await;
    assert_eq!(scene.announced().await.len(), 1, "within the day");
    scene.process.pass(2 * HOUR);
    scene.spend(5_201).await;
    assert_eq!(scene.announced().await.len(), 1, "no more than it was");
    scene.process.pass(HOUR);
    scene.spend(800_000).await;
    assert_eq!(scene.announced().await.len(), 1, "not eight times as much");
    let event = scene.send(Method::GET, "/api/v3/events", &scene.key, &Value::Null).await.1;
    let event = event["data"].as_array().unwrap().iter().find(|event| event["event"] == json!("key.runaway"));
    let data = &event.unwrap()["data"];
    assert_eq!(
        *data,
        json!({
            "keyId": scene.key_id, "hour": "2024-01-12T08:00:00Z", "spent": 201, "busiest": 9,
            "action": "announced", "resume": null,
            "message": "An API key spends far more than it used to; if it may have leaked, roll or revoke it",
        })
    );
}

#[tokio::test]
async fn nothing_is_done_where_it_is_switched_off() {
    let mut scene = Scene::new(Mode::Live, "off").await;
    assert_eq!(scene.spend(5_000).await.0, 201);
    assert_eq!((scene.announced().await, scene.paused_at().await), (vec![], Value::Null));
}

/// The status of a request to a warm function, and the code of its error.
async fn attempt(warm: &WarmProcess, method: Method, path: &str, key: &str, body: Value) -> (u16, Value) {
    let name = unique();
    let (status, body) = warm.call(&ApiRequest::new(method, path, key).under(&name).with(&body)).await;
    (status, body["error"]["code"].clone())
}

/// A paused key reads, and ends what it has begun. Warm functions notice within five seconds.
#[tokio::test]
async fn a_paused_key_only_reads_until_another_key_resumes_it() {
    for mode in [Mode::Live, Mode::Test] {
        let mut scene = Scene::new(mode, "pause").await;
        let held =
            scene.send(Method::POST, "/api/v3/credits/holds", &scene.key, &json!({ "amount": 5 })).await.1;
        let hold = format!("/api/v3/credits/holds/{}", held["data"]["holdId"].as_str().unwrap());
        let warm = scene.process.warm();
        let consume = || json!({ "operation": "aml.basic" });
        assert_eq!(attempt(&warm, Method::POST, CONSUME, &scene.key, consume()).await.0, 201);
        scene.process.pass(10);
        assert_eq!(attempt(&warm, Method::POST, CONSUME, &scene.key, consume()).await.0, 201);
        assert_eq!(scene.spend(300).await.0, 201, "what has found it was charged");
        let paused = "2024-01-12T08:00:10Z";
        assert_eq!(scene.paused_at().await, json!(paused));
        scene.process.pass(5);
        let own = format!("{KEYS}/{}", scene.key_id);
        for (method, path, body) in [
            (Method::POST, CONSUME, consume()),
            (Method::POST, "/api/v3/credits/consume/batch", json!({ "items": [consume()] })),
            (Method::POST, "/api/v3/credits/holds", json!({ "amount": 1 })),
            (Method::POST, "/api/v3/monitors", json!({ "operation": "aml.monitoring", "resourceId": "a" })),
            (Method::POST, "/api/v3/credits/transactions/export", json!({ "format": "xlsx" })),
            (
                Method::POST,
                "/api/v3/credits/purchase",
                json!({ "package": "starter", "paymentMethod": "card_1" }),
            ),
            (Method::PATCH, SWITCHES, json!({ "runawayKeys": "off" })),
            (Method::POST, KEYS, json!({ "mode": mode })),
            (Method::POST, &format!("{own}/roll"), json!({})),
            (Method::POST, &format!("{own}/resume"), json!({})),
        ] {
            let refused = attempt(&warm, method, path, &scene.key, body).await;
            assert_eq!(refused, (403, json!("KEY_PAUSED")), "{path}");
        }
        for (method, path, body, expected) in [
            (Method::GET, "/api/v3/credits/balance", Value::Null, 200),
            (Method::GET, SWITCHES, Value::Null, 200),
            (Method::GET, KEYS, Value::Null, 200),
            (Method::POST, "/api/v3/credits/quote", consume(), 200),
            (Method::POST, "/api/v3/credits/transactions/export", json!({ "format": "csv" }), 201),
            (Method::POST, &format!("{hold}/capture"), json!({ "amount": 1 }), 201),
            (Method::POST, &format!("{hold}/release"), json!({}), 201),
        ] {
            assert_eq!(attempt(&warm, method, path, &scene.key, body).await.0, expected, "{path}");
        }
        // Another secret of the key is paused, too; other keys are not.
        let rolled = scene.send(Method::POST, &format!("{own}/roll"), &scene.manager, &json!({})).await.1;
        let rolled = rolled["data"]["key"].as_str().unwrap();
        assert_eq!(attempt(&warm, Method::POST, CONSUME, rolled, consume()).await.0, 403);
        let other = scene.process.api_key(scene.account).await;
        assert_eq!(attempt(&warm, Method::POST, CONSUME, &other, consume()).await.0, 201);
        let (status, resumed) = scene.resume(&scene.manager).await;
        assert_eq!((status, &resumed["data"]["pausedAt"]), (200, &Value::Null));
        scene.process.pass(5);
        assert_eq!(attempt(&warm, Method::POST, CONSUME, &scene.key, consume()).await.0, 201);
        assert_eq!(attempt(&warm, Method::POST, CONSUME, rolled, consume()).await.0, 201);
        assert_eq!(scene.resume(&scene.manager).await.0, 200, "once more changes nothing");
        let expected = [runaway("paused", 307), ("key.resumed".to_owned(), Value::Null, Value::Null)];
        assert_eq!(scene.announced().await, expected);
    }
}

/// The owner said that this was no leak: the key is not paused again for a day, and announced instead.
#[tokio::test]
async fn a_key_that_was_resumed_is_not_paused_again_for_a_day() {
    let mut scene = Scene::new(Mode::Live, "pause").await;
    scene.spend(300).await;
    assert_eq!(scene.spend(1).await, (403, json!("KEY_PAUSED")));
    scene.process.pass(HOUR);
    assert_eq!(scene.resume(&scene.manager).await.0, 200);
    assert_eq!(scene.spend(9_000).await.0, 201);
    assert_eq!(scene.announced().await.len(), 2, "within the day it is not even found");
    scene.process.pass(23 * HOUR + 1_800);
    assert_eq!(scene.spend(90_000).await.0, 201, "half an hour before the day is over");
    assert_eq!(scene.paused_at().await, Value::Null);
    assert_eq!(scene.announced().await[2], runaway("announced", 90_000));
    scene.process.pass(25 * HOUR);
    assert_eq!(scene.spend(800_000).await.0, 201);
    assert_ne!(scene.paused_at().await, Value::Null);
    assert_eq!(scene.announced().await[3], runaway("paused", 800_000));
    // What may not be resumed: a key with scopes that the caller lacks, one that was revoked, one that is not there.
    let body = json!({ "mode": "live", "scopes": ["team:write"] });
    let weak = scene.send(Method::POST, KEYS, &scene.manager, &body).await.1["data"]["key"].clone();
    let (status, refused) = scene.resume(weak.as_str().unwrap()).await;
    assert_eq!((status, &refused["error"]["code"]), (403, &json!("INSUFFICIENT_PERMISSIONS")));
    let path = format!("{KEYS}/{}", scene.key_id);
    assert_eq!(scene.send(Method::DELETE, &path, &scene.manager, &json!({})).await.0, 200);
    assert_eq!(scene.resume(&scene.manager).await.0, 409);
    let absent = format!("{KEYS}/key_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA/resume");
    assert_eq!(scene.send(Method::POST, &absent, &scene.manager, &json!({})).await.0, 404);
}
