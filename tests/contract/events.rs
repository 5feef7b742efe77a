//! Every kind of event, caused through the API and checked against its schema.

use std::collections::BTreeSet;

use domain::EventName;
use serde_json::{Value, json};
use tests::{World, unique};

const CREDITS: &str = "/api/v3/credits";

/// The names of an organisation's events so far, each checked against its schema.
async fn event_names(world: &World, key: &str) -> Vec<String> {
    world.settle().await;
    let events = world.events(key).await;
    events.iter().for_each(tests::assert_event);
    let numbers = events.iter().map(|event| event["sequence"].as_u64().unwrap());
    assert!(numbers.eq(1..=events.len() as u64));
    events.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
}

/// The data of the last event of that name.
async fn last(world: &World, key: &str, name: &str) -> Value {
    let events = world.events(key).await;
    let found = events.iter().rev().find(|event| event["event"] == json!(name));
    found.unwrap_or_else(|| panic!("no {name}"))["data"].clone()
}

async fn spend(world: &World, key: &str, credits: u64) -> Value {
    let body = json!({ "operation": "verification.standard", "quantity": credits });
    world.consume(key, &unique(), &body).await.created()
}

async fn buy(world: &World, key: &str, method: &str) -> Value {
    let body = json!({ "package": "starter", "paymentMethod": method });
    world.post(&format!("{CREDITS}/purchase"), key, &unique(), &body).await.body["data"].clone()
}

/// An event of a transaction has its id and the balance.
#[tokio::test]
async fn transactions_emit_events() {
    let world = World::at("2024-01-15T10:00:00Z").await;
    let org = world.open(1_000).await;
    let (key, operator) = (&org.key[..], world.operator());
    assert!(event_names(&world, key).await.is_empty(), "the first month emits no event");

    let bought = buy(&world, key, "card_visa").await;
    assert_eq!(event_names(&world, key).await, ["credits.purchased"]);
    let news = last(&world, key, "credits.purchased").await;
    assert_eq!(news["transactionId"], bought["transactionId"]);
    assert_eq!(news["price"], json!({ "amount": 4900, "currency": "GBP" }));
    assert_eq!((&news["autoRecharge"], &news["available"]), (&json!(false), &json!(1_500)));

    assert_eq!(buy(&world, key, "card_declined").await, Value::Null);
    assert_eq!(event_names(&world, key).await[1..], ["purchase.failed"]);
    assert_eq!(last(&world, key, "purchase.failed").await["reason"], json!("card_declined"));

    let debit = spend(&world, key, 5).await;
    let body = json!({ "transactionId": debit["transactionId"], "reason": "technical_failure" });
    let refund = world.post(&format!("{CREDITS}/refund"), key, &unique(), &body).await.created();
    assert_eq!(event_names(&world, key).await[2..], ["credits.refunded"]);
    let news = last(&world, key, "credits.refunded").await;
    assert_eq!(
        (&news["transactionId"], &news["refundOf"]),
        (&refund["transactionId"], &debit["transactionId"])
    );
    assert_eq!((&news["reason"], &news["amount"]), (&json!("technical_failure"), &json!(5)));

    let path = format!("/admin/v1/organisations/{}/adjustments", org.id);
    let body = json!({ "amount": -7, "reason": "Counted wrong" });
    world.post(&path, operator, &unique(), &body).await.created();
    assert_eq!(event_names(&world, key).await[3..], ["credits.adjusted"]);
    let news = last(&world, key, "credits.adjusted").await;
    assert_eq!((&news["direction"], &news["description"]), (&json!("DEBIT"), &json!("Counted wrong")));

    let hold = json!({ "amount": 9, "expiresInSeconds": 60 });
    let hold = world.post(&format!("{CREDITS}/holds"), key, &unique(), &hold).await.created();
    world.pass(120).await;
    assert_eq!(event_names(&world, key).await[4..], ["hold.expired"]);
    assert_eq!(last(&world, key, "hold.expired").await["holdId"], hold["holdId"]);
    let hold = json!({ "amount": 9 });
    let hold = world.post(&format!("{CREDITS}/holds"), key, &unique(), &hold).await.created();
    let path = format!("{CREDITS}/holds/{}/release", hold["holdId"].as_str().unwrap());
    world.post(&path, key, &unique(), &json!({})).await.created();
    assert_eq!(event_names(&world, key).await.len(), 5);

    for plan in ["enterprise", "professional"] {
        world.put("/api/v3/subscription", key, &json!({ "plan": plan })).await.data();
    }
    assert_eq!(event_names(&world, key).await[5..], ["plan.changed", "plan.changed"]);
    let news = last(&world, key, "plan.changed").await;
    assert_eq!((&news["from"], &news["to"]), (&json!("enterprise"), &json!("professional")));

    let gift = json!({ "source": "bonus", "amount": 25, "expiresInDays": 8 });
    world.grant(&org.id, &gift).await;
    world.post_plain("/_local/clock", &json!({ "now": "2024-02-01T00:00:00Z" })).await.data();
    let month = ["credits.granted", "credits.expiring", "credits.expired", "credits.renewed"];
    assert_eq!(event_names(&world, key).await[7..], month);
    assert_eq!(last(&world, key, "credits.expired").await["amount"], json!(25));
    assert_eq!(last(&world, key, "credits.renewed").await["nextRenewal"], json!("2024-03-01T00:00:00Z"));
}

/// Auto-recharge emits events when it charges, fails, pauses or switches itself off.
#[tokio::test]
async fn auto_recharge_emits_events() {
    let world = World::at("2024-01-15T10:00:00Z").await;
    let path = format!("{CREDITS}/auto-recharge");
    let org = world.open(120).await;
    let set = async |body: Value| world.put(&path, &org.key, &body).await.data();
    set(json!({ "enabled": true, "threshold": 100, "amount": 500, "paymentMethod": "card_visa", "monthlyLimit": 600 })).await;
    spend(&world, &org.key, 50).await;
    let names = event_names(&world, &org.key).await;
    assert!(names.contains(&"auto_recharge.succeeded".to_owned()), "{names:?}");
    let news = last(&world, &org.key, "credits.purchased").await;
    assert_eq!((&news["autoRecharge"], &news["amount"]), (&json!(true), &json!(500)));
    assert_eq!(
        last(&world, &org.key, "auto_recharge.succeeded").await["transactionId"],
        news["transactionId"]
    );
    spend(&world, &org.key, 500).await;
    event_names(&world, &org.key).await;
    let news = last(&world, &org.key, "auto_recharge.paused").await;
    assert_eq!((&news["reason"], &news["until"]), (&json!("monthly_limit"), &json!("2024-02-01T00:00:00Z")));
    assert_eq!(news["enabled"], json!(true));

    let other = world.open(120).await;
    let set = json!({ "enabled": true, "threshold": 100, "amount": 500, "paymentMethod": "card_declined" });
    world.put(&path, &other.key, &set).await.data();
    spend(&world, &other.key, 50).await;
    world.pass(8 * 3600).await;
    let names = event_names(&world, &other.key).await;
    let recharge: Vec<_> = names.iter().filter(|name| name.starts_with("auto_recharge")).collect();
    assert_eq!(
        recharge,
        ["auto_recharge.failed", "auto_recharge.failed", "auto_recharge.failed", "auto_recharge.paused"]
    );
    let news = last(&world, &other.key, "auto_recharge.failed").await;
    assert_eq!(
        (&news["failures"], &news["enabled"], &news["nextAttempt"]),
        (&json!(3), &json!(false), &Value::Null)
    );
    let news = last(&world, &other.key, "auto_recharge.paused").await;
    assert_eq!(
        (&news["reason"], &news["enabled"], &news["until"]),
        (&json!("payment_failed"), &json!(false), &Value::Null)
    );
    assert!(!names.contains(&"purchase.failed".to_owned()), "it has an event of its own");
}

/// A dispute emits events when it is opened and closed.
#[tokio::test]
async fn disputes_emit_events() {
    let world = World::at("2024-01-15T10:00:00Z").await;
    let org = world.open(10).await;
    for (end, outcome) in [("win", "won"), ("lose", "lost")] {
        let bought = buy(&world, &org.key, "card_visa").await;
        let id = bought["transactionId"].as_str().unwrap();
        for action in ["open", end] {
            let path = format!("/_local/payments/{id}/dispute");
            world.post_plain(&path, &json!({ "action": action })).await.data();
            world.settle().await;
        }
        let names = event_names(&world, &org.key).await;
        let disputes: Vec<_> = names.iter().filter(|name| name.starts_with("dispute.")).collect();
        assert_eq!(disputes[disputes.len() - 2..], ["dispute.opened", "dispute.closed"], "{names:?}");
        let news = last(&world, &org.key, "dispute.closed").await;
        assert_eq!((&news["outcome"], &news["purchaseId"]), (&json!(outcome), &json!(id)));
        assert!(news["disputeId"].is_string());
    }
}

/// The sources below `folder` that create events.
fn sources(folder: &std::path::Path) -> Vec<String> {
    const CREATORS: [&str; 6] = [
        "api_key_notice.rs",
        "budget_notice.rs",
        "member_notice.rs",
        "notification.rs",
        "of_receipt.rs",
        "runaway_notice.rs",
    ];
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = entries.flat_map(|path| match path.file_name().and_then(|name| name.to_str()) {
        _ if path.is_dir() => sources(&path),
        Some(name) if CREATORS.contains(&name) => vec![std::fs::read_to_string(path).unwrap()],
        _ => Vec::new(),
    });
    texts.collect()
}

/// The tests here and elsewhere cause every documented event, except tests.
#[test]
fn every_documented_event_is_emitted() {
    let source = sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/domain/src"));
    assert_eq!(source.len(), 6, "the files that create events");
    let is_emitted =
        |name: &EventName| source.iter().any(|text| text.contains(&format!("EventName::{name:?}")));
    let missing: BTreeSet<_> =
        EventName::ALL.into_iter().filter(|name| !is_emitted(name)).map(EventName::as_str).collect();
    assert_eq!(missing, BTreeSet::from(["webhook.test"]));
}
