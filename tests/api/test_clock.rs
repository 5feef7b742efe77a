//! The clock of a test ledger: a test key moves it, and no other ledger's time changes.

use serde_json::{Value, json};
use tests::{ApiAnswer, World, unique};

const PATH: &str = "/api/v3/test-clock";

async fn set(world: &World, key: &str, body: Value) -> ApiAnswer {
    tests::send(world.request("POST".parse().unwrap(), PATH, key).json(&body)).await
}

async fn operations(world: &World, key: &str) -> Vec<String> {
    let mut lines = world.transactions(key, "").await;
    lines.reverse();
    let reported = |line: &Value| {
        format!("{} {}", &line["timestamp"].as_str().unwrap()[..10], line["operation"].as_str().unwrap())
    };
    lines.iter().map(reported).collect()
}

fn event_of(event: &Value) -> String {
    format!("{} {}", &event["timestamp"].as_str().unwrap()[..10], event["event"].as_str().unwrap())
}

/// A year in one call: renewals, monitors, expiries and notices, in order. The live ledger and other organisations
/// stay where they are.
#[tokio::test]
async fn a_test_ledger_passes_a_year_in_one_call() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let (key, other) = (world.test_key(), world.open(10).await);
    let before = world.get(PATH, key).await.data();
    assert_eq!(before, json!({ "now": "2024-01-15T10:30:00Z", "standsStill": false, "arrived": true }));
    let grants = format!("/admin/v1/organisations/{}/grants", world.org());
    let gift = json!({ "source": "bonus", "amount": 9, "mode": "test", "expiresAt": "2024-02-20T00:00:00Z" });
    world.post(&grants, world.operator(), &unique(), &gift).await.created();
    let monitor = json!({ "operation": "aml.monitoring", "resourceId": "a" });
    world.post("/api/v3/monitors", key, &unique(), &monitor).await.created();
    let moved = set(&world, key, json!({ "now": "2024-04-10T00:00:00Z" })).await;
    assert_eq!(moved.body["meta"]["timestamp"], json!("2024-01-15T10:30:00Z"));
    assert_eq!(moved.data(), json!({ "now": "2024-04-10T00:00:00Z", "standsStill": true, "arrived": true }));
    assert_eq!(
        operations(&world, key).await,
        [
            "2024-01-01 credit.renewal",
            "2024-01-15 credit.grant",
            "2024-01-15 aml.monitoring",
            "2024-02-01 credit.renewal",
            "2024-02-01 aml.monitoring",
            "2024-02-20 credit.expiry",
            "2024-03-01 credit.renewal",
            "2024-03-01 aml.monitoring",
            "2024-04-01 credit.renewal",
            "2024-04-01 aml.monitoring",
        ]
    );
    // The expiry notice is sent on the way. Events of transactions come from the projector, which may be ahead of
    // it or behind.
    world.settle().await;
    let mut reported: Vec<_> = world.events(key).await.iter().map(event_of).collect();
    reported.sort();
    assert_eq!(
        reported,
        [
            "2024-01-15 credits.granted",
            "2024-02-01 credits.renewed",
            "2024-02-13 credits.expiring",
            "2024-02-20 credits.expired",
            "2024-03-01 credits.renewed",
            "2024-04-01 credits.renewed",
        ]
    );
    let balance = world.get("/api/v3/credits/balance", key).await;
    assert_eq!(balance.body["meta"]["timestamp"], json!("2024-04-10T00:00:00Z"));
    assert_eq!(balance.data()["nextRenewal"], json!("2024-05-01T00:00:00Z"));
    let body = json!({ "operation": "verification.standard" });
    let charged = world.consume(key, &unique(), &body).await.created();
    assert_eq!(charged["timestamp"], json!("2024-04-10T00:00:00Z"));
    for live in [world.key(), &other.key] {
        let balance = world.get("/api/v3/credits/balance", live).await;
        assert_eq!(balance.data()["nextRenewal"], json!("2024-02-01T00:00:00Z"));
    }
    world.post_plain("/_local/clock", &json!({ "now": "2024-03-02T00:00:00Z" })).await.data();
    assert_eq!(world.get(PATH, key).await.data()["now"], json!("2024-04-10T00:00:00Z"));
    assert_eq!(operations(&world, key).await.len(), 11);
    assert_eq!(world.balance(&other.key).await["nextRenewal"], json!("2024-04-01T00:00:00Z"));
}

/// Payments are retried by the test clock: after one hour, after six hours, then switched off.
#[tokio::test]
async fn retries_follow_the_test_clock() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let key = world.test_key();
    set(&world, key, json!({ "advanceSeconds": 1 })).await.data();
    let body =
        json!({ "enabled": true, "threshold": 1_000, "amount": 500, "paymentMethod": "card_declined" });
    world.put("/api/v3/credits/auto-recharge", key, &body).await.data();
    // The provider sends an event for each refusal, and its handler may be working on the same account.
    let state = async || {
        world.settle().await;
        world.get("/api/v3/credits/auto-recharge", key).await.data()["state"].clone()
    };
    let first = state().await;
    assert_eq!((&first["status"], &first["nextAttempt"]), (&json!("paused"), &json!("2024-01-15T11:30:01Z")));
    set(&world, key, json!({ "advanceSeconds": 3_599 })).await.data();
    assert_eq!(state().await["failures"], json!(1));
    set(&world, key, json!({ "advanceSeconds": 1 })).await.data();
    assert_eq!(state().await["failures"], json!(2));
    set(&world, key, json!({ "advanceSeconds": 86_400 })).await.data();
    let last = state().await;
    assert_eq!(
        (&last["status"], &last["failures"], &last["reason"]),
        (&json!("off"), &json!(3), &json!("payment_failed"))
    );
}

#[tokio::test]
async fn only_test_keys_move_the_clock_and_only_forward() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    for answer in
        [world.get(PATH, world.key()).await, set(&world, world.key(), json!({ "advanceSeconds": 1 })).await]
    {
        assert_eq!(answer.failure(), "403 INSUFFICIENT_PERMISSIONS");
    }
    let key = world.test_key();
    set(&world, key, json!({ "now": "2024-01-16T00:00:00Z" })).await.data();
    for wrong in [
        json!({ "now": "2024-01-15T23:59:59Z" }),
        json!({}),
        json!({ "now": "2024-02-01T00:00:00Z", "advanceSeconds": 1 }),
        json!({ "now": "tomorrow" }),
        json!({ "advanceSeconds": -1 }),
        json!({ "to": "2024-02-01T00:00:00Z" }),
    ] {
        assert_eq!(set(&world, key, wrong.clone()).await.failure(), "400 VALIDATION_ERROR", "{wrong}");
    }
    assert_eq!(
        set(&world, key, json!({ "now": "2024-01-16T00:00:00Z" })).await.data()["arrived"],
        json!(true)
    );
    assert_eq!(world.get(PATH, key).await.data()["now"], json!("2024-01-16T00:00:00Z"));
}

/// Under a key the clock moves once, however often the request is repeated.
#[tokio::test]
async fn a_key_moves_the_time_once() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let key = world.test_key();
    let send = async |name: &str, seconds: u64| {
        let request = world.request("POST".parse().unwrap(), PATH, key).header("Idempotency-Key", name);
        tests::send(request.json(&json!({ "advanceSeconds": seconds }))).await
    };
    assert_eq!(send("t1", 60).await.data()["now"], json!("2024-01-15T10:31:00Z"));
    let again = send("t1", 60).await;
    assert_eq!(
        (again.header("idempotent-replayed"), &again.data()["now"]),
        (Some("true"), &json!("2024-01-15T10:31:00Z"))
    );
    assert_eq!(send("t1", 61).await.failure(), "422 IDEMPOTENCY_KEY_REUSED");
    assert_eq!(send("t2", 60).await.data()["now"], json!("2024-01-15T10:32:00Z"));
    // A repeated request gets the first answer, whatever moved the clock since; and a key outlives the time that it
    // moves.
    assert_eq!(send("t1", 60).await.data()["now"], json!("2024-01-15T10:31:00Z"));
    let far = 400 * 86_400;
    let moved = send("t3", far).await.data();
    assert_eq!((&moved["now"], &moved["arrived"]), (&json!("2025-02-18T10:32:00Z"), &json!(true)));
    let again = send("t3", far).await;
    assert_eq!((again.header("idempotent-replayed"), again.data()), (Some("true"), moved));
    assert_eq!(world.get(PATH, key).await.data()["now"], json!("2025-02-18T10:32:00Z"));
}
