//! Auto-recharge over HTTP: one charge per crossing, tried again and switched off as promised.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Org, World, send, unique};
use tokio::task::JoinSet;

const NOW: &str = "2024-01-15T10:30:00Z";
const PATH: &str = "/api/v3/credits/auto-recharge";

async fn set(world: &World, key: &str, body: &Value) -> Answer {
    send(world.request(Method::PUT, PATH, key).json(body)).await
}

/// The seed's configuration.
fn seed() -> Value {
    json!({ "enabled": true, "threshold": 100, "amount": 500, "paymentMethod": "card_xyz123" })
}

async fn pass(world: &World, seconds: u64) {
    world.post_plain("/_local/clock", &json!({ "advanceSeconds": seconds })).await.data();
    world.settle().await;
}

/// When each charge of an organisation began, oldest first, and its status.
async fn charges(world: &World, org: &str) -> Vec<(String, String)> {
    let all = world.get("/_local/payments", "").await.data();
    let ours = all.as_array().unwrap().iter().rev().filter(|charge| charge["organisationId"] == org);
    let text = |charge: &Value, name: &str| charge[name].as_str().unwrap().to_owned();
    ours.map(|charge| (text(charge, "createdAt"), text(charge, "status"))).collect()
}

async fn spend(world: &World, org: &Org, amount: u64) -> Answer {
    let body = json!({ "operation": "verification.standard", "quantity": amount });
    let answer = world.consume(&org.key, &unique(), &body).await;
    world.settle().await;
    answer
}

async fn available(world: &World, org: &Org) -> u64 {
    world.balance(&org.key).await["available"].as_u64().unwrap()
}

async fn operate(world: &World, org: &Org, what: &str) -> Answer {
    let path = format!("/admin/v1/organisations/{}/{what}", org.id);
    world.post(&path, world.operator(), &unique(), &json!({ "reason": "Unpaid" })).await
}

async fn world(allowance: u64) -> (World, Org) {
    let world = World::at(NOW).await;
    let org = world.open(allowance).await;
    (world, org)
}

/// The seed's example: balance reaches 95, auto-recharge triggers, credits are purchased.
#[tokio::test]
async fn the_seeds_example() {
    let (world, org) = world(105).await;
    let off = world.get(PATH, &org.key).await.data();
    assert_eq!((&off["enabled"], &off["state"]["status"]), (&json!(false), &json!("off")));
    let told = set(&world, &org.key, &seed()).await.data();
    for (field, expected) in seed().as_object().unwrap() {
        assert_eq!(&told[field], expected, "{field}");
    }
    assert_eq!((&told["monthlyLimit"], &told["state"]["status"]), (&Value::Null, &json!("ready")));
    spend(&world, &org, 5).await.created();
    assert_eq!(available(&world, &org).await, 100, "at the threshold nothing happens");
    spend(&world, &org, 5).await.created();
    assert_eq!(available(&world, &org).await, 595);
    let line = &world.transactions(&org.key, "operation=credit.purchase").await[0];
    for (field, expected) in [
        ("amount", json!(500)),
        ("paymentMethod", json!("card_xyz123")),
        ("description", json!("Auto-recharge")),
        ("price", json!({ "amount": 4900, "currency": "GBP" })),
    ] {
        assert_eq!(line[field], expected, "{field}");
    }
    let told = world.get(PATH, &org.key).await.data();
    assert_eq!((&told["state"]["status"], &told["state"]["boughtThisMonth"]), (&json!("ready"), &json!(500)));
    assert_eq!(charges(&world, &org.id).await.len(), 1);
}

#[tokio::test]
async fn switched_on_below_the_threshold_it_fires_at_once() {
    let (world, org) = world(5).await;
    set(&world, &org.key, &seed()).await.data();
    world.settle().await;
    assert_eq!(available(&world, &org).await, 505);
    let told = set(&world, &org.key, &json!({ "threshold": 50 })).await.data();
    assert_eq!(
        (&told["amount"], &told["enabled"], &told["threshold"]),
        (&json!(500), &json!(true), &json!(50))
    );
    world.settle().await;
    assert_eq!(charges(&world, &org.id).await.len(), 1);
}

#[tokio::test]
async fn one_charge_covers_the_gap() {
    let (world, org) = world(5).await;
    let change = json!({ "enabled": true, "threshold": 1800, "amount": 500, "paymentMethod": "card_1" });
    set(&world, &org.key, &change).await.data();
    world.settle().await;
    assert_eq!(available(&world, &org).await, 2005);
    assert_eq!(charges(&world, &org.id).await.len(), 1);
}

/// Two hundred debits cross the threshold together.
#[tokio::test]
async fn debits_that_cross_together_are_one_crossing() {
    let (world, org) = world(250).await;
    set(&world, &org.key, &seed()).await.data();
    let world = Arc::new(world);
    let mut tasks = JoinSet::new();
    for number in 0..200 {
        let (world, key) = (world.clone(), org.key.clone());
        tasks.spawn(async move {
            let body = json!({ "operation": "verification.standard" });
            world.consume(&key, &format!("c{number}"), &body).await.status
        });
    }
    assert_eq!(tasks.join_all().await, vec![201; 200]);
    world.settle().await;
    assert_eq!(charges(&world, &org.id).await.len(), 1);
    assert_eq!(available(&world, &org).await, 550);
    pass(&world, 8 * 3600).await;
    assert_eq!(charges(&world, &org.id).await.len(), 1);
}

/// Tried again an hour and then six hours later, and after the third failure switched off.
#[tokio::test]
async fn a_declining_card_is_tried_three_times_and_then_never() {
    let (world, org) = world(5).await;
    let mut change = seed();
    change["paymentMethod"] = json!("card_declined");
    set(&world, &org.key, &change).await.data();
    world.settle().await;
    let told = world.get(PATH, &org.key).await.data();
    assert_eq!(told["state"]["status"], json!("paused"));
    assert_eq!(told["state"]["reason"], json!("payment_failed"));
    assert_eq!(told["state"]["nextAttempt"], json!("2024-01-15T11:30:00Z"));
    assert_eq!(told["state"]["failure"]["declineCode"], json!("generic_decline"));
    spend(&world, &org, 1).await.created();
    pass(&world, 3599).await;
    assert_eq!(charges(&world, &org.id).await.len(), 1);
    // Each attempt is made at its own time, however far the clock jumps.
    pass(&world, 30 * 24 * 3600).await;
    let failed = |at: &str| (at.to_owned(), "failed".to_owned());
    let expected = [failed(NOW), failed("2024-01-15T11:30:00Z"), failed("2024-01-15T17:30:00Z")];
    assert_eq!(charges(&world, &org.id).await, expected);
    let told = world.get(PATH, &org.key).await.data();
    assert_eq!((&told["enabled"], &told["state"]["failures"]), (&json!(false), &json!(3)));
    assert_eq!(
        (&told["state"]["status"], &told["state"]["reason"]),
        (&json!("off"), &json!("payment_failed"))
    );
    spend(&world, &org, 1).await;
    pass(&world, 30 * 24 * 3600).await;
    assert_eq!(charges(&world, &org.id).await.len(), 3);
    set(&world, &org.key, &json!({ "enabled": true, "paymentMethod": "card_1" })).await.data();
    world.settle().await;
    assert_eq!(charges(&world, &org.id).await.len(), 4);
}

/// Nobody is there to authenticate: it counts as a failure, and nothing waits.
#[tokio::test]
async fn a_card_that_needs_its_owner_fails() {
    let (world, org) = world(5).await;
    let mut change = seed();
    change["paymentMethod"] = json!("card_authentication");
    set(&world, &org.key, &change).await.data();
    world.settle().await;
    let told = world.get(PATH, &org.key).await.data();
    assert_eq!(told["state"]["failure"]["reason"], json!("authentication_required"));
}

/// A charge that nobody answered is found by reconcile, and nothing is charged twice meanwhile.
#[tokio::test]
async fn a_silent_provider_is_asked_again() {
    let (world, org) = world(5).await;
    let mut change = seed();
    change["paymentMethod"] = json!("card_timeout_charged");
    set(&world, &org.key, &change).await.data();
    world.settle().await;
    assert_eq!(charges(&world, &org.id).await.len(), 1);
    spend(&world, &org, 1).await.created();
    pass(&world, 600).await;
    assert_eq!(available(&world, &org).await, 504);
    let told = world.get(PATH, &org.key).await.data();
    assert_eq!((&told["state"]["status"], &told["state"]["boughtThisMonth"]), (&json!("ready"), &json!(500)));
    assert_eq!(charges(&world, &org.id).await.len(), 1);
}

#[tokio::test]
async fn a_month_has_its_limit() {
    let (world, org) = world(5).await;
    let mut change = seed();
    change["monthlyLimit"] = json!(1000);
    set(&world, &org.key, &change).await.data();
    world.settle().await;
    for _ in 0..2 {
        pass(&world, 7200).await;
        let left = available(&world, &org).await;
        spend(&world, &org, left).await.created();
    }
    assert_eq!(charges(&world, &org.id).await.len(), 2);
    assert_eq!(available(&world, &org).await, 0);
    let told = world.get(PATH, &org.key).await.data();
    assert_eq!(
        (&told["state"]["reason"], &told["state"]["nextAttempt"]),
        (&json!("monthly_limit"), &json!("2024-02-01T00:00:00Z"))
    );
    pass(&world, 20 * 24 * 3600).await;
    assert_eq!(charges(&world, &org.id).await.len(), 3);
}

#[tokio::test]
async fn what_is_off_or_frozen_charges_nothing() {
    let (world, org) = world(105).await;
    set(&world, &org.key, &seed()).await.data();
    set(&world, &org.key, &json!({ "enabled": false })).await.data();
    spend(&world, &org, 50).await.created();
    assert_eq!(charges(&world, &org.id).await.len(), 0);
    operate(&world, &org, "freeze").await.data();
    set(&world, &org.key, &json!({ "enabled": true })).await.data();
    world.settle().await;
    assert_eq!(charges(&world, &org.id).await.len(), 0);
    operate(&world, &org, "unfreeze").await.data();
    world.settle().await;
    assert_eq!(charges(&world, &org.id).await.len(), 1);
}

#[tokio::test]
async fn settings_that_do_not_read_change_nothing() {
    let (world, org) = world(105).await;
    for (body, field) in [
        (json!({ "enabled": true }), "threshold"),
        (json!({ "threshold": 1, "paymentMethod": "card_1" }), "amount"),
        (json!({ "threshold": 1, "amount": 5 }), "paymentMethod"),
        (
            json!({ "threshold": 1, "amount": 5, "paymentMethod": "card_1", "monthlyLimit": 4 }),
            "monthlyLimit",
        ),
        (json!({ "threshold": -1, "amount": 5, "paymentMethod": "card_1" }), "threshold"),
        (json!({ "threshold": 1, "amount": 0, "paymentMethod": "card_1" }), "amount"),
        (json!({ "treshold": 1 }), "treshold"),
    ] {
        let answer = set(&world, &org.key, &body).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{body}");
        assert!(answer.body["error"]["details"]["fields"][field].is_string(), "{body}: {answer:?}");
    }
    assert_eq!(world.get(PATH, &org.key).await.data()["threshold"], Value::Null);
    let limited = json!({ "threshold": 1, "amount": 5, "paymentMethod": "card_1", "monthlyLimit": 50 });
    assert_eq!(set(&world, &org.key, &limited).await.data()["monthlyLimit"], json!(50));
    assert_eq!(set(&world, &org.key, &json!({})).await.data()["monthlyLimit"], json!(50));
    assert_eq!(
        set(&world, &org.key, &json!({ "monthlyLimit": null })).await.data()["monthlyLimit"],
        Value::Null
    );
}
