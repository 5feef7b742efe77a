//! What keys and acting operators cost.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiRequest, World, send, unique};

const KEYS: &str = "/api/v3/api-keys";

/// The requests, read units and write units of one call. What follows from time and not from the call is counted as
/// `settings`.
async fn cost(world: &World, route: &str, call: ApiRequest<'_>) -> (Value, Value, Value) {
    world.delete("/_local/capacity", "").await.data();
    let answer = world.call(&call).await;
    assert!(answer.status < 300, "{answer:?}");
    let used = world.get("/_local/capacity", "").await.data()["routes"][route].clone();
    (used["requests"].clone(), used["readUnits"].clone(), used["writeUnits"].clone())
}

fn units(requests: u64, read: f64, written: f64) -> (Value, Value, Value) {
    (json!(requests), json!(read), json!(written))
}

#[tokio::test]
async fn keys_cost_a_few_units() {
    let world = World::demo().await;
    let org = world.open(10).await;
    let mut ids = vec![];
    for _ in 0..20 {
        let made = world.post(KEYS, &org.key, &unique(), &json!({ "mode": "live" })).await.created();
        ids.push(made["keyId"].as_str().unwrap().to_owned());
    }
    let body = json!({ "mode": "live" });
    let create = ApiRequest::new(Method::POST, KEYS, &org.key).with(&body);
    // Three items in a transaction, and the event.
    assert_eq!(cost(&world, "POST /api/v3/api-keys", create).await, units(7, 2.0, 10.0));
    let list = ApiRequest::new(Method::GET, KEYS, &org.key);
    assert_eq!(cost(&world, "GET /api/v3/api-keys", list).await, units(22, 22.0, 0.0));
    let path = format!("{KEYS}/{}", ids[0]);
    let read = ApiRequest::new(Method::GET, &path, &org.key);
    assert_eq!(cost(&world, "GET /api/v3/api-keys/{id}", read).await, units(3, 3.0, 0.0));
}

/// A debit of an acting operator costs what a debit costs.
#[tokio::test]
async fn acting_for_an_organisation_costs_nothing_more() {
    let world = World::demo().await;
    let open = json!({ "name": "Own", "externalId": "own", "allowance": 100 });
    let org = world.post("/admin/v1/organisations", world.operator(), &unique(), &open).await.created();
    let org = org["organisationId"].as_str().unwrap();
    for name in [org, "external:own"] {
        let consume = async || {
            let request = world.request(Method::POST, "/api/v3/credits/consume", world.operator());
            let request = request.header("scrip-organisation", name).header("idempotency-key", unique());
            send(request.json(&json!({ "operation": "aml.basic" }))).await.created()
        };
        consume().await;
        world.delete("/_local/capacity", "").await.data();
        for _ in 0..10 {
            consume().await;
        }
        let used = world.get("/_local/capacity", "").await.data();
        let used = used["routes"]["POST /api/v3/credits/consume"].clone();
        assert_eq!(
            used,
            json!({ "calls": 10, "requests": 30, "readUnits": 0.0, "writeUnits": 30.0 }),
            "{name}"
        );
    }
}

/// A debit for a member costs nothing more where known members are required and the member is known; an unknown id costs one
/// read in five seconds.
#[tokio::test]
async fn a_known_member_costs_nothing() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let invited = json!({ "email": "jo@example.com", "role": "member" });
    let invited = world.post("/api/v3/invitations", &org.key, &unique(), &invited).await.created();
    let token = json!({ "token": invited["token"] });
    let joined = world.post_plain("/api/v3/invitations/accept", &token).await.created();
    let change = json!({ "requireKnownMembers": true });
    world.patch("/api/v3/organization-settings", &org.key, &change).await.data();
    let used = async |member: &Value, expected: u16| {
        let body = json!({ "operation": "aml.basic", "memberId": member });
        let consume = async || assert_eq!(world.consume(&org.key, &unique(), &body).await.status, expected);
        consume().await;
        world.settle().await;
        world.delete("/_local/capacity", "").await.data();
        for _ in 0..10 {
            consume().await;
        }
        let used = world.get("/_local/capacity", "").await.data();
        used["routes"]["POST /api/v3/credits/consume"].clone()
    };
    let known = used(&joined["memberId"], 201).await;
    assert_eq!(known, json!({ "calls": 10, "requests": 30, "readUnits": 0.0, "writeUnits": 30.0 }));
    // Each looks for an earlier attempt under its key.
    let unknown = used(&json!("mem_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA"), 400).await;
    assert_eq!(unknown, json!({ "calls": 10, "requests": 10, "readUnits": 10.0, "writeUnits": 0.0 }));
}
