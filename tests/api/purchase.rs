//! Credits for money, over HTTP: charged once, granted once, told truthfully.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Org, World, line_of, send, unique};
use tokio::task::JoinSet;

const NOW: &str = "2024-01-15T10:30:00Z";

async fn buy(world: &World, key: &str, name: &str, body: &Value) -> Answer {
    world.post("/api/v3/credits/purchase", key, name, body).await
}

fn starter(method: &str) -> Value {
    json!({ "package": "starter", "paymentMethod": method })
}

/// What the payment company did for an organisation, by transaction: status and sum.
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
    let told = world.get(&format!("/api/v3/credits/transactions/{id}"), &org.key).await.data();
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
        assert_eq!(told[field], expected, "{field}");
    }
    assert!(told["receipt"].as_str().is_some_and(|receipt| receipt.starts_with("rcpt_")), "{told}");
    let list = world.transactions(&org.key, "operation=credit.purchase").await;
    assert_eq!(list, [line_of(&told)]);
    assert_eq!(
        charges(&world, &org.id).await,
        BTreeMap::from([(id.to_owned(), ("succeeded".to_owned(), 4900))])
    );
}

/// credits => price in pence, by the per-credit price of the largest package not above them
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
async fn a_purchase_that_does_not_read_charges_nothing() {
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

/// payment method => what is answered, its details
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
        let told = world.get(&format!("/api/v3/credits/transactions/{id}"), &org.key).await.data();
        assert_eq!((&told["status"], &told["sequence"]), (&json!("failed"), &Value::Null));
        assert_eq!(told["failure"]["reason"], json!(reason));
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
    let told = world.get(&path, &org.key).await.data();
    assert_eq!(
        (&told["status"], &told["sequence"], &told["balanceAfter"]),
        (&json!("pending"), &Value::Null, &Value::Null)
    );
    let other = world.open(5).await;
    assert_eq!(world.get(&path, &other.key).await.failure(), "404 NOT_FOUND");
    pass(&world, 3600).await;
    assert_eq!(world.get(&path, &org.key).await.data()["status"], json!("pending"));
    let here = link.strip_prefix(&world.machine.base_url()).unwrap();
    world.post_plain(here, &json!({})).await.data();
    world.settle().await;
    let told = world.get(&path, &org.key).await.data();
    assert_eq!((&told["status"], &told["amount"]), (&json!("approved"), &json!(500)));
    let again = buy(&world, &org.key, "p1", &starter("card_authentication")).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(world.balance(&org.key).await["purchasedCredits"], json!(500));
}

/// A customer who never authenticates is waited for for a day, and then not charged any more.
#[tokio::test]
async fn a_payment_that_waits_too_long_is_given_up() {
    let (world, org) = world().await;
    let pending = buy(&world, &org.key, "p1", &starter("card_authentication")).await.data();
    let id = pending["transactionId"].as_str().unwrap();
    pass(&world, 26 * 3600).await;
    let told = world.get(&format!("/api/v3/credits/transactions/{id}"), &org.key).await.data();
    assert_eq!(told["status"], json!("failed"));
    assert_eq!(charges(&world, &org.id).await[id].0, "canceled");
    assert_eq!(
        buy(&world, &org.key, "p1", &starter("card_authentication")).await.failure(),
        "402 PAYMENT_FAILED"
    );
}

/// A silent provider: the charge happened or not, and reconcile finds out which.
#[tokio::test]
async fn what_nobody_answered_is_found_out() {
    let (world, org) = world().await;
    for (method, status, credits) in
        [("card_timeout_charged", "approved", 500), ("card_timeout_uncharged", "failed", 500)]
    {
        let pending = buy(&world, &org.key, method, &starter(method)).await;
        assert_eq!(pending.status, 202, "{method}");
        let id = pending.data()["transactionId"].as_str().unwrap().to_owned();
        pass(&world, 300).await;
        let told = world.get(&format!("/api/v3/credits/transactions/{id}"), &org.key).await.data();
        assert_eq!(told["status"], json!(status), "{method}");
        assert_eq!(world.balance(&org.key).await["purchasedCredits"], json!(credits), "{method}");
        let again = buy(&world, &org.key, method, &starter(method)).await;
        assert_eq!(again.status, if status == "approved" { 201 } else { 402 }, "{method}");
    }
    assert_eq!(charges(&world, &org.id).await.len(), 1, "one was charged, and once");
}

/// One purchase sent by sixty-four at once.
#[tokio::test]
async fn copies_of_one_purchase_charge_once() {
    let (world, org) = world().await;
    let world = Arc::new(world);
    for method in ["card_1", "card_declined"] {
        let answers = at_once(&world, &org, vec![(method.to_owned(), starter(method)); 64]).await;
        let mut told = BTreeMap::<u16, usize>::new();
        for answer in &answers {
            *told.entry(answer.status).or_default() += 1;
        }
        let settled = if method == "card_1" { 201 } else { 402 };
        assert!(
            told.keys().all(|status| [settled, 409].contains(status)) && told.contains_key(&settled),
            "{told:?}"
        );
        let again = buy(&world, &org.key, method, &starter(method)).await;
        assert_eq!(again.status, settled);
        assert_eq!(charges(&world, &org.id).await.len(), if method == "card_1" { 1 } else { 2 });
    }
    assert_eq!(world.balance(&org.key).await["purchasedCredits"], json!(500));
}

/// Different purchases at once are all charged and all granted.
#[tokio::test]
async fn rivals_all_get_what_they_pay_for() {
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

/// Test keys have simulated payments and a ledger of their own.
#[tokio::test]
async fn a_test_key_buys_test_credits() {
    let world = World::at(NOW).await;
    let before = world.balance(world.key()).await;
    let bought = buy(&world, world.test_key(), "p1", &starter("card_1")).await;
    assert_eq!((bought.status, &bought.body["meta"]["livemode"]), (201, &json!(false)));
    assert_eq!(world.balance(world.key()).await["available"], before["available"]);
}

/// An organisation pays in its own currency and no other.
#[tokio::test]
async fn the_exchange_rate_of_the_own_currency_is_one() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let bought = buy(&world, &org.key, "p1", &starter("card_1")).await.created();
    let path = format!("/api/v3/credits/transactions/{}", bought["transactionId"].as_str().unwrap());
    let told = world.get(&path, &org.key).await.data();
    assert_eq!((&told["exchangeRate"], &told["currency"]), (&json!(1.0), &json!("GBP")));
}

/// So many purchases at once; what each was answered.
async fn at_once(world: &Arc<World>, org: &Org, bodies: Vec<(String, Value)>) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    for (name, body) in bodies {
        let (world, key) = (world.clone(), org.key.clone());
        tasks.spawn(async move { buy(&world, &key, &name, &body).await });
    }
    tasks.join_all().await
}
