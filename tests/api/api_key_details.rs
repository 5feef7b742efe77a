//! What an API key's owner sees of it: who made it, when it was used, its secrets; and in which feed its events are.

use serde_json::{Value, json};
use tests::{World, unique};

const KEYS: &str = "/api/v3/api-keys";
const BALANCE: &str = "/api/v3/credits/balance";

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn a_list_shows_when_each_key_was_used_and_which_secret_ends() {
    let world = World::at("2024-01-15T23:59:00Z").await;
    let org = world.open(10).await;
    let create = async || world.post(KEYS, &org.key, &unique(), &json!({ "mode": "live" })).await.created();
    let (unused, used, rolled) = (create().await, create().await, create().await);
    world.get(BALANCE, text(&used["key"])).await.data();
    world.pass(120).await;
    let roll = format!("{KEYS}/{}/roll", text(&rolled["keyId"]));
    let fresh = world.post(&roll, &org.key, &unique(), &json!({})).await.created();
    world.get(BALANCE, text(&fresh["key"])).await.data();
    let listed = async || {
        let listed = world.get(&format!("{KEYS}?limit=100"), &org.key).await.data();
        let of = |key: &Value| {
            let found = listed.as_array().unwrap().iter().find(|listed| listed["keyId"] == key["keyId"]);
            let found = found.unwrap();
            (found["lastUsedAt"].clone(), found["previousSecret"].clone())
        };
        [of(&unused), of(&used), of(&rolled)]
    };
    // A day, if the caller names no grace.
    let previous = json!({ "last4": rolled["last4"], "acceptedUntil": "2024-01-17T00:01:00Z" });
    let expected =
        [(Value::Null, Value::Null), (json!("2024-01-15"), Value::Null), (json!("2024-01-16"), previous)];
    assert_eq!(listed().await, expected);
    world.pass(86_400).await;
    assert_eq!(listed().await[2].1, Value::Null, "the previous secret has ended");
    let week = json!({ "graceSeconds": 604_800 });
    let fresh = world.post(&roll, &org.key, &unique(), &week).await.created();
    assert_eq!(fresh["previousSecret"]["acceptedUntil"], json!("2024-01-24T00:01:00Z"));
    world.delete(&format!("{KEYS}/{}", text(&rolled["keyId"])), &org.key).await.data();
    assert_eq!(listed().await[2].1, Value::Null, "a revoked key has no secret that works");
}

/// Refused requests are not a use of the key.
#[tokio::test]
async fn a_key_that_is_refused_was_not_used() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    for (terms, expected) in [
        (json!({ "mode": "live", "allowedIps": ["203.0.113.7"] }), "403 INSUFFICIENT_PERMISSIONS"),
        (json!({ "mode": "live", "expiresAt": "2024-01-15T10:30:30Z" }), "401 EXPIRED_API_KEY"),
    ] {
        let made = world.post(KEYS, &org.key, &unique(), &terms).await.created();
        world.pass(20).await;
        assert_eq!(world.get(BALANCE, text(&made["key"])).await.failure(), expected);
        let path = format!("{KEYS}/{}", text(&made["keyId"]));
        assert_eq!(world.get(&path, &org.key).await.data()["lastUsedAt"], Value::Null, "{terms}");
    }
}

#[tokio::test]
async fn a_key_and_its_events_name_who_made_it() {
    let world = World::demo().await;
    let org = world.open(10).await;
    let own = world.get(KEYS, &org.key).await.data()[0].clone();
    let operator = world.get("/admin/v1/operator-keys", world.operator()).await.data()[0]["keyId"].clone();
    assert_eq!(own["createdBy"], operator, "an operator has issued the first one");
    let test = world.post(KEYS, &org.key, &unique(), &json!({ "mode": "test" })).await.created();
    assert_eq!(test["createdBy"], own["keyId"]);
    // Events about a test key are in the test ledger's feed only.
    let body = json!({ "mode": "test", "scopes": tests::EVERY_SCOPE });
    let path = format!("/admin/v1/organisations/{}/keys", org.id);
    let reader = world.post(&path, world.operator(), &unique(), &body).await.created();
    assert!(world.events(&org.key).await.is_empty());
    let events = world.events(text(&reader["key"])).await;
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["data"]["keyId"], &events[0]["data"]["by"]), (&test["keyId"], &own["keyId"]));
}
