//! A monitor without credits resumes when its price falls to the balance.

use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, unique};

const PRICE: &str = "/admin/v1/pricing/aml.monitoring";

async fn status(world: &World, org: &Org) -> String {
    let list = world.get("/api/v3/monitors", &org.key).await.data();
    list[0]["status"].as_str().unwrap().to_owned()
}

async fn set_price(world: &World, body: &Value) -> ApiAnswer {
    world.put(PRICE, world.operator(), body).await
}

/// A monitor that costs five credits a month, of an organisation that has two.
async fn suspended() -> (World, Org) {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(2).await;
    let body = json!({ "operation": "aml.monitoring", "resourceId": "a" });
    world.post("/api/v3/monitors", &org.key, &unique(), &body).await.created();
    set_price(&world, &json!({ "credits": 5 })).await.data();
    world.post_plain("/_local/clock", &json!({ "now": "2024-02-01T00:05:00Z" })).await.data();
    world.settle().await;
    assert_eq!(status(&world, &org).await, "suspended");
    (world, org)
}

#[tokio::test]
async fn a_monitor_resumes_when_its_price_falls() {
    let (world, org) = suspended().await;
    set_price(&world, &json!({ "credits": 3 })).await.data();
    world.settle().await;
    assert_eq!(status(&world, &org).await, "suspended", "the price of three is more than the balance of two");
    set_price(&world, &json!({ "credits": 2 })).await.data();
    world.settle().await;
    assert_eq!(status(&world, &org).await, "active");
    assert_eq!(world.balance(&org.key).await["available"], json!(0));
    let names: Vec<_> = world.events(&org.key).await.iter().map(|event| event["event"].clone()).collect();
    assert!(names.contains(&json!("monitor.resumed")), "{names:?}");
}

/// A planned price: the monitor resumes within an hour after it takes effect.
#[tokio::test]
async fn a_monitor_resumes_when_a_planned_price_takes_effect() {
    let (world, org) = suspended().await;
    set_price(&world, &json!({ "credits": 1, "effectiveFrom": "2024-02-03T12:00:00Z" })).await.data();
    world.post_plain("/_local/clock", &json!({ "now": "2024-02-03T11:59:00Z" })).await.data();
    world.settle().await;
    assert_eq!(status(&world, &org).await, "suspended");
    world.post_plain("/_local/clock", &json!({ "now": "2024-02-03T13:30:00Z" })).await.data();
    world.settle().await;
    assert_eq!(status(&world, &org).await, "active");
}

/// An operation that is free for a while: suspended monitors resume and are not charged.
#[tokio::test]
async fn a_monitor_resumes_when_its_operation_is_free() {
    let (world, org) = suspended().await;
    set_price(&world, &json!({ "credits": 0 })).await.data();
    world.settle().await;
    assert_eq!(status(&world, &org).await, "active");
    assert_eq!(world.balance(&org.key).await["available"], json!(2));
}
