//! Auto-recharge over HTTP: one charge for each crossing, retries, and switching itself off.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, send, unique};
use tokio::task::JoinSet;

const NOW: &str = "2024-01-15T10:30:00Z";
const PATH: &str = "/api/v3/credits/auto-recharge";

async fn set(world: &World, key: &str, body: &Value) -> ApiAnswer {
    send(world.request(Method::PUT, PATH, key).json(body)).await
}

/// The configuration of the seed document.
fn seed() -> Value {
    json!({ "enabled": true, "threshold": 100, "amount": 500, "paymentMethod": "card_xyz123" })
}

async fn pass(world: &World, seconds: u64) {
    world.post_plain("/_local/clock", &json!({ "advanceSeconds": seconds })).await.data();
    world.settle().await;
}

/// The start and status of each charge of an organisation, oldest first.
async fn charges(world: &World, org: &str) -> Vec<(String, String)> {
    let all = world.get("/_local/payments", "").await.data();
    let ours = all.as_array().unwrap().iter().rev().filter(|charge| charge["organisationId"] == org);
    let text = |charge: &Value, name: &str| charge[name].as_str().unwrap().to_owned();
    ours.map(|charge| (text(charge, "createdAt"), text(charge, "status"))).collect()
}

async fn spend(world: &World, org: &Org, amount: u64) -> ApiAnswer {
    let body = json!({ "operation": "verification.standard", "quantity": amount });
    let answer = world.consume(&org.key, &unique(), &body).await;
    world.settle().await;
    answer
}

async fn available(world: &World, org: &Org) -> u64 {
    world.balance(&org.key).await["available"].as_u64().unwrap()
}

async fn operate(world: &World, org: &Org, what: &str) -> ApiAnswer {
    let path = format!("/admin/v1/organisations/{}/{what}", org.id);
    world.post(&path, world.operator(), &unique(), &json!({ "reason": "Unpaid" })).await
}

async fn world(allowance: u64) -> (World, Org) {
    let world = World::at(NOW).await;
    let org = world.open(allowance).await;
    (world, org)
}

/// The seed's example: the balance reaches 95, auto-recharge buys credits.
#[tokio::test]
async fn the_seeds_example() {
    let (world, org) = world(105).await;
    let off = world.get(PATH, &org.key).await.data();
    assert_eq!((&off["enabled"], &off["state"]["status"]), (&json!(false), &json!("off")));
    let reported = set(&world, &org.key, &seed()).await.data();
    for (field, expected) in seed().as_object().unwrap() {
        assert_eq!(&reported[field], expected, "{field}");
    }
    assert_eq!((&reported["monthlyLimit"], &reported["state"]["status"]), (&Value::Null, &json!("ready")));
    spend(&world, &org, 5).await.created();
    assert_eq!(available(&world, &org).await, 100, "nothing happens at the threshold");
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
    let reported = world.get(PATH, &org.key).await.data();
    assert_eq!(
        (&reported["state"]["status"], &reported["state"]["boughtThisMonth"]),
        (&json!("ready"), &json!(500))
    );
    assert_eq!(charges(&world, &org.id).await.len(), 1);
}

#[tokio::test]
async fn auto_recharge_charges_at_once_below_the_threshold() {
    let (world, org) = world(5).await;
    set(&world, &org.key, &seed()).await.data();
    world.settle().await;
    assert_eq!(available(&world, &org).await, 505);
    let reported = set(&world, &org.key, &json!({ "threshold": 50 })).await.data();
    assert_eq!(
        (&reported["amount"], &reported["enabled"], &reported["threshold"]),
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

/// Two hundred simultaneous debits cross the threshold once.
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

/// A failed payment is retried after one hour and after six hours; after the third failure auto-recharge switches
/// itself off.
#[tokio::test]
async fn a_declining_card_is_tried_three_times_and_then_never() {
    let (world, org) = world(5).await;
    let mut change = seed();
    change["paymentMethod"] = json!("card_declined");
    set(&world, &org.key, &change).await.data();
    world.settle().await;
    let reported = world.get(PATH, &org.key).await.data();
    assert_eq!(reported["state"]["status"], json!("paused"));
    assert_eq!(reported["state"]["reason"], json!("payment_failed"));
    assert_eq!(reported["state"]["nextAttempt"], json!("2024-01-15T11:30:00Z"));
    assert_eq!(reported["state"]["failure"]["declineCode"], json!("generic_decline"));
    spend(&world, &org, 1).await.created();
    pass(&world, 3599).await;
    assert_eq!(charges(&world, &org.id).await.len(), 1);
    // Each attempt is made at its own time, however far the clock jumps.
    pass(&world, 30 * 24 * 3600).await;
    let failed = |at: &str| (at.to_owned(), "failed".to_owned());
    let expected = [failed(NOW), failed("2024-01-15T11:30:00Z"), failed("2024-01-15T17:30:00Z")];
    assert_eq!(charges(&world, &org.id).await, expected);
    let reported = world.get(PATH, &org.key).await.data();
    assert_eq!((&reported["enabled"], &reported["state"]["failures"]), (&json!(false), &json!(3)));
    assert_eq!(
        (&reported["state"]["status"], &reported["state"]["reason"]),
        (&json!("off"), &json!("payment_failed"))
    );
    spend(&world, &org, 1).await;
    pass(&world, 30 * 24 * 3600).await;
    assert_eq!(charges(&world, &org.id).await.len(), 3);
    set(&world, &org.key, &json!({ "enabled": true, "paymentMethod": "card_1" })).await.data();
    world.settle().await;
    assert_eq!(charges(&world, &org.id).await.len(), 4);
}

/// A payment that needs authentication counts as failed.
#[tokio::test]
async fn a_retry_is_made_when_the_clock_stands_between_two_milliseconds() {
    let world = World::at("2024-01-15T10:30:00.123456Z").await;
    let org = world.open(5).await;
    let mut change = seed();
    change["paymentMethod"] = json!("card_declined");
    set(&world, &org.key, &change).await.data();
    world.settle().await;
    for failures in [2, 3] {
        pass(&world, if failures == 2 { 3_600 } else { 21_600 }).await;
        let reported = world.get(PATH, &org.key).await.data();
        assert_eq!(reported["state"]["failures"], json!(failures));
    }
}

#[tokio::test]
async fn a_card_that_needs_authentication_fails() {
    let (world, org) = world(5).await;
    let mut change = seed();
    change["paymentMethod"] = json!("card_authentication");
    set(&world, &org.key, &change).await.data();
    world.settle().await;
    let reported = world.get(PATH, &org.key).await.data();
    assert_eq!(reported["state"]["failure"]["reason"], json!("authentication_required"));
}

/// A charge without an answer is found by reconcile, and nothing is charged twice meanwhile.
#[tokio::test]
async fn a_provider_that_did_not_answer_is_asked_again() {
    let (world, org) = world(5).await;
    let mut change = seed();
    change["paymentMethod"] = json!("card_timeout_charged");
    set(&world, &org.key, &change).await.data();
    world.settle().await;
    assert_eq!(charges(&world, &org.id).await.len(), 1);
    spend(&world, &org, 1).await.created();
    pass(&world, 600).await;
    assert_eq!(available(&world, &org).await, 504);
    let reported = world.get(PATH, &org.key).await.data();
    assert_eq!(
        (&reported["state"]["status"], &reported["state"]["boughtThisMonth"]),
        (&json!("ready"), &json!(500))
    );
    assert_eq!(charges(&world, &org.id).await.len(), 1);
}

#[tokio::test]
async fn a_month_has_a_limit() {
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
    let reported = world.get(PATH, &org.key).await.data();
    assert_eq!(
        (&reported["state"]["reason"], &reported["state"]["nextAttempt"]),
        (&json!("monthly_limit"), &json!("2024-02-01T00:00:00Z"))
    );
    pass(&world, 20 * 24 * 3600).await;
    assert_eq!(charges(&world, &org.id).await.len(), 3);
}

#[tokio::test]
async fn nothing_is_charged_when_switched_off_or_frozen() {
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
async fn invalid_settings_change_nothing() {
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
