//! Purchases over HTTP: charged once, granted once, reported correctly.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, line_of, send, unique};
use tokio::task::JoinSet;

const NOW: &str = "2024-01-15T10:30:00Z";

async fn buy(world: &World, key: &str, name: &str, body: &Value) -> ApiAnswer {
    world.post("/api/v3/credits/purchase", key, name, body).await
}

fn starter(method: &str) -> Value {
    json!({ "package": "starter", "paymentMethod": method })
}

/// The provider's charges for an organisation, by transaction: status and amount.
async fn charges(world: &World, org: &str) -> BTreeMap<String, (String, u64)> {
    let all = world.get("/_local/payments", "").await.data();
    let ours = all.as_array().unwrap().iter().filter(|charge| charge["organisationId"] == org);
    ours.map(|charge| {
        let text = |name: &str| charge[name].as_str().unwrap().to_owned();
        (text("transactionId"), (text("status"), charge["amount"].as_u64().unwrap()))
    })
    .collect()
}

async fn pass(world: &World, seconds: u64) {
    world.post_plain("/_local/clock", &json!({ "advanceSeconds": seconds })).await.data();
    world.settle().await;
}

async fn world() -> (World, Org) {
    let world = World::at(NOW).await;
    let org = world.open(5).await;
    (world, org)
}

#[tokio::test]
async fn a_package_is_bought() {
    let (world, org) = world().await;
    let bought = buy(&world, &org.key, "p1", &starter("card_xyz123")).await.created();
    let id = bought["transactionId"].as_str().unwrap();
    for (field, expected) in [
        ("status", json!("approved")),
        ("credits", json!(500)),
        ("price", json!({ "amount": 4900, "currency": "GBP" })),
        ("package", json!("starter")),
        ("paymentMethod", json!("card_xyz123")),
    ] {
        assert_eq!(bought[field], expected, "{field}");
    }
    assert_eq!(bought["balance"]["purchasedCredits"], json!(500));
    assert_eq!(bought["balance"]["available"], json!(505));
    assert_eq!(bought.get("nextAction"), None);
    let reported = world.get(&format!("/api/v3/credits/transactions/{id}"), &org.key).await.data();
    for (field, expected) in [
        ("transactionId", json!(id)),
        ("type", json!("CREDIT")),
        ("category", json!("purchase")),
        ("status", json!("approved")),
        ("operation", json!("credit.purchase")),
        ("amount", json!(500)),
        ("paymentMethod", json!("card_xyz123")),
        ("currency", json!("GBP")),
        ("exchangeRate", json!(1.0)),
        ("price", json!({ "amount": 4900, "currency": "GBP" })),
        ("package", json!("starter")),
        ("priceVersion", json!(1)),
        ("sequence", json!(2)),
        ("balanceAfter", json!(505)),
        ("timestamp", json!(NOW)),
    ] {
        assert_eq!(reported[field], expected, "{field}");
    }
    assert!(reported["receipt"].as_str().is_some_and(|receipt| receipt.starts_with("rcpt_")), "{reported}");
    let list = world.transactions(&org.key, "operation=credit.purchase").await;
    assert_eq!(list, [line_of(&reported)]);
    assert_eq!(
        charges(&world, &org.id).await,
        BTreeMap::from([(id.to_owned(), ("succeeded".to_owned(), 4900))])
    );
}

/// Credits and their price in pence, at the price per credit of the largest package that is not larger.
#[tokio::test]
async fn any_number_of_credits_is_bought_at_its_price() {
    let (world, org) = world().await;
    for (amount, price) in
        [(1, 10), (499, 4891), (500, 4900), (600, 5880), (1000, 8900), (1200, 10_680), (5001, 39_908)]
    {
        let body = json!({ "amount": amount, "paymentMethod": "card_1" });
        let bought = buy(&world, &org.key, &unique(), &body).await.created();
        assert_eq!((&bought["credits"], &bought["price"]["amount"]), (&json!(amount), &json!(price)));
        assert_eq!(bought["package"], Value::Null);
    }
    assert_eq!(
        world.balance(&org.key).await["purchasedCredits"],
        json!(499 + 1 + 500 + 600 + 1000 + 1200 + 5001)
    );
}

#[tokio::test]
async fn an_invalid_purchase_charges_nothing() {
    let (world, org) = world().await;
    for (body, expected) in [
        (json!({ "package": "giant", "paymentMethod": "card_1" }), "422 PACKAGE_UNKNOWN"),
        (json!({ "package": "starter" }), "400 VALIDATION_ERROR"),
        (json!({ "paymentMethod": "card_1" }), "400 VALIDATION_ERROR"),
        (json!({ "package": "starter", "amount": 5, "paymentMethod": "card_1" }), "400 VALIDATION_ERROR"),
        (json!({ "amount": 0, "paymentMethod": "card_1" }), "400 VALIDATION_ERROR"),
        (json!({ "amount": -5, "paymentMethod": "card_1" }), "400 VALIDATION_ERROR"),
        (json!({ "amount": 1.5, "paymentMethod": "card_1" }), "400 VALIDATION_ERROR"),
        (json!({ "amount": 1_000_000_000_000_u64, "paymentMethod": "card_1" }), "400 VALIDATION_ERROR"),
        (json!({ "amount": 5, "paymentMethod": "" }), "400 VALIDATION_ERROR"),
        (json!({ "amount": 5, "paymentMethod": "card_1", "x": 1 }), "400 VALIDATION_ERROR"),
    ] {
        assert_eq!(buy(&world, &org.key, "bad", &body).await.failure(), expected, "{body}");
    }
    let unnamed = world.request(Method::POST, "/api/v3/credits/purchase", &org.key).json(&starter("card_1"));
    assert_eq!(send(unnamed).await.failure(), "400 IDEMPOTENCY_KEY_REQUIRED");
    let path = format!("/admin/v1/organisations/{}/keys", org.id);
    let reader = json!({ "mode": "live", "scopes": ["credits:read", "credits:consume"] });
    let reader = world.post(&path, world.operator(), &unique(), &reader).await.created();
    let refused = buy(&world, reader["key"].as_str().unwrap(), "p", &starter("card_1")).await;
    assert_eq!(refused.failure(), "403 INSUFFICIENT_PERMISSIONS");
    assert_eq!(charges(&world, &org.id).await, BTreeMap::new());
    buy(&world, &org.key, "bad", &starter("card_1")).await.created();
}

/// Payment methods, each with its answer and its details.
#[tokio::test]
async fn a_refused_payment_says_why_and_is_remembered() {
    let (world, org) = world().await;
    for (method, reason, code) in [
        ("card_declined", "card_declined", json!("generic_decline")),
        ("card_insufficient_funds", "card_declined", json!("insufficient_funds")),
        ("visa", "payment_method_unknown", Value::Null),
    ] {
        let first = buy(&world, &org.key, method, &starter(method)).await;
        assert_eq!(first.failure(), "402 PAYMENT_FAILED");
        let details = &first.body["error"]["details"];
        assert_eq!((&details["reason"], &details["declineCode"]), (&json!(reason), &code), "{method}");
        let again = buy(&world, &org.key, method, &starter(method)).await;
        assert_eq!((again.status, &again.body["error"]), (402, &first.body["error"]));
        let other = buy(&world, &org.key, method, &starter("card_1")).await;
        assert_eq!(other.failure(), "422 IDEMPOTENCY_KEY_REUSED");
        let id = details["transactionId"].as_str().unwrap();
        let reported = world.get(&format!("/api/v3/credits/transactions/{id}"), &org.key).await.data();
        assert_eq!((&reported["status"], &reported["sequence"]), (&json!("failed"), &Value::Null));
        assert_eq!(reported["failure"]["reason"], json!(reason));
    }
    assert!(charges(&world, &org.id).await.values().all(|(status, _)| status == "failed"));
    assert_eq!(world.balance(&org.key).await["available"], json!(5));
    assert_eq!(world.transactions(&org.key, "operation=credit.purchase").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_customer_authenticates_and_has_the_credits() {
    let (world, org) = world().await;
    let pending = buy(&world, &org.key, "p1", &starter("card_authentication")).await;
    assert_eq!(pending.status, 202);
    let pending = pending.data();
    assert_eq!(pending["status"], json!("pending"));
    assert_eq!(pending["nextAction"]["type"], json!("redirect"));
    let link = pending["nextAction"]["url"].as_str().unwrap();
    let id = pending["transactionId"].as_str().unwrap();
    let path = format!("/api/v3/credits/transactions/{id}");
    let reported = world.get(&path, &org.key).await.data();
    assert_eq!(
        (&reported["status"], &reported["sequence"], &reported["balanceAfter"]),
        (&json!("pending"), &Value::Null, &Value::Null)
    );
    let other = world.open(5).await;
    assert_eq!(world.get(&path, &other.key).await.failure(), "404 NOT_FOUND");
    pass(&world, 3600).await;
    assert_eq!(world.get(&path, &org.key).await.data()["status"], json!("pending"));
    let here = link.strip_prefix(&world.machine.base_url()).unwrap();
    world.post_plain(here, &json!({})).await.data();
    world.settle().await;
    let reported = world.get(&path, &org.key).await.data();
    assert_eq!((&reported["status"], &reported["amount"]), (&json!("approved"), &json!(500)));
    let again = buy(&world, &org.key, "p1", &starter("card_authentication")).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(world.balance(&org.key).await["purchasedCredits"], json!(500));
}

/// A payment that a customer never authenticates is cancelled after a day.
#[tokio::test]
async fn a_payment_that_waits_too_long_is_cancelled() {
    let (world, org) = world().await;
    let pending = buy(&world, &org.key, "p1", &starter("card_authentication")).await.data();
    let id = pending["transactionId"].as_str().unwrap();
    pass(&world, 26 * 3600).await;
    let reported = world.get(&format!("/api/v3/credits/transactions/{id}"), &org.key).await.data();
    assert_eq!(reported["status"], json!("failed"));
    assert_eq!(charges(&world, &org.id).await[id].0, "canceled");
    assert_eq!(
        buy(&world, &org.key, "p1", &starter("card_authentication")).await.failure(),
        "402 PAYMENT_FAILED"
    );
}

/// A provider that does not answer: reconcile finds out whether the charge was made.
#[tokio::test]
async fn reconcile_finds_out_about_unanswered_charges() {
    let (world, org) = world().await;
    for (method, status, credits) in
        [("card_timeout_charged", "approved", 500), ("card_timeout_uncharged", "failed", 500)]
    {
        let pending = buy(&world, &org.key, method, &starter(method)).await;
        assert_eq!(pending.status, 202, "{method}");
        let id = pending.data()["transactionId"].as_str().unwrap().to_owned();
        pass(&world, 300).await;
        let reported = world.get(&format!("/api/v3/credits/transactions/{id}"), &org.key).await.data();
        assert_eq!(reported["status"], json!(status), "{method}");
        assert_eq!(world.balance(&org.key).await["purchasedCredits"], json!(credits), "{method}");
        let again = buy(&world, &org.key, method, &starter(method)).await;
        assert_eq!(again.status, if status == "approved" { 201 } else { 402 }, "{method}");
    }
    assert_eq!(charges(&world, &org.id).await.len(), 1, "one charge was made");
}

/// Sixty-four simultaneous copies of one purchase.
#[tokio::test]
async fn copies_of_one_purchase_charge_once() {
    let (world, org) = world().await;
    let world = Arc::new(world);
    for method in ["card_1", "card_declined"] {
        let answers = at_once(&world, &org, vec![(method.to_owned(), starter(method)); 64]).await;
        let mut reported = BTreeMap::<u16, usize>::new();
        for answer in &answers {
            *reported.entry(answer.status).or_default() += 1;
        }
        let settled = if method == "card_1" { 201 } else { 402 };
        assert!(
            reported.keys().all(|status| [settled, 409].contains(status)) && reported.contains_key(&settled),
            "{reported:?}"
        );
        let again = buy(&world, &org.key, method, &starter(method)).await;
        assert_eq!(again.status, settled);
        assert_eq!(charges(&world, &org.id).await.len(), if method == "card_1" { 1 } else { 2 });
    }
    assert_eq!(world.balance(&org.key).await["purchasedCredits"], json!(500));
}

/// Different simultaneous purchases are all charged and granted.
#[tokio::test]
async fn simultaneous_purchases_are_all_granted() {
    let (world, org) = world().await;
    let world = Arc::new(world);
    let wanted = (0..48u64)
        .map(|number| (format!("p{number}"), json!({ "amount": 100 + number, "paymentMethod": "card_1" })));
    let answers = at_once(&world, &org, wanted.collect()).await;
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    pass(&world, 600).await;
    let expected: u64 = (100..148).sum();
    assert_eq!(world.balance(&org.key).await["purchasedCredits"], json!(expected));
    assert_eq!(charges(&world, &org.id).await.len(), 48);
}

/// Test keys have simulated payments and a separate ledger.
#[tokio::test]
async fn a_test_key_buys_test_credits() {
    let world = World::at(NOW).await;
    let before = world.balance(world.key()).await;
    let bought = buy(&world, world.test_key(), "p1", &starter("card_1")).await;
    assert_eq!((bought.status, &bought.body["meta"]["livemode"]), (201, &json!(false)));
    assert_eq!(world.balance(world.key()).await["available"], before["available"]);
}

/// An organisation pays in its own currency only.
#[tokio::test]
async fn the_exchange_rate_of_the_own_currency_is_one() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let bought = buy(&world, &org.key, "p1", &starter("card_1")).await.created();
    let path = format!("/api/v3/credits/transactions/{}", bought["transactionId"].as_str().unwrap());
    let reported = world.get(&path, &org.key).await.data();
    assert_eq!((&reported["exchangeRate"], &reported["currency"]), (&json!(1.0), &json!("GBP")));
}

/// Sends purchases simultaneously; returns their answers.
async fn at_once(world: &Arc<World>, org: &Org, bodies: Vec<(String, Value)>) -> Vec<ApiAnswer> {
    let mut tasks = JoinSet::new();
    for (name, body) in bodies {
        let (world, key) = (world.clone(), org.key.clone());
        tasks.spawn(async move { buy(&world, &key, &name, &body).await });
    }
    tasks.join_all().await
}
