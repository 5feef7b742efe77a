//! The currency and the daily limit of purchases.

use std::sync::Arc;

use serde_json::{Value, json};
use tests::{ApiAnswer, World, unique};
use tokio::task::JoinSet;

const NOW: &str = "2024-01-15T10:30:00Z";

/// An organisation with a currency; returns its id and key.
async fn open(world: &World, currency: &str) -> (String, String) {
    let body = json!({ "name": "Own", "plan": "professional", "allowance": 0, "currency": currency });
    let org = world.post("/admin/v1/organisations", world.operator(), &unique(), &body).await.created();
    let org = org["organisationId"].as_str().unwrap().to_owned();
    let path = format!("/admin/v1/organisations/{org}/keys");
    let scopes = ["credits:read", "credits:consume", "credits:purchase", "settings:write"];
    let body = json!({ "mode": "live", "scopes": scopes });
    let key = world.post(&path, world.operator(), &unique(), &body).await.created();
    (org, key["key"].as_str().unwrap().to_owned())
}

async fn package(world: &World, name: &str, credits: u64, price: Value) {
    let body = json!({ "name": name, "credits": credits, "price": price });
    world.put(&format!("/admin/v1/packages/{name}"), world.operator(), &body).await.data();
}

async fn buy(world: &World, key: &str, body: &Value) -> ApiAnswer {
    world.post("/api/v3/credits/purchase", key, &unique(), body).await
}

async fn limit(world: &World, org: &str, amount: u64, currency: &str) -> ApiAnswer {
    let body = json!({ "perDay": { "amount": amount, "currency": currency } });
    world.put(&format!("/admin/v1/organisations/{org}/spending-limit"), world.operator(), &body).await
}

#[tokio::test]
async fn an_organisation_pays_in_its_own_currency() {
    let world = World::at(NOW).await;
    package(&world, "dollars", 499, json!({ "amount": 6200, "currency": "USD" })).await;
    package(&world, "yen", 1, json!({ "amount": 20, "currency": "JPY" })).await;
    let (_, pounds) = open(&world, "GBP").await;
    let (_, dollars) = open(&world, "USD").await;
    let (_, euros) = open(&world, "EUR").await;
    let any = json!({ "amount": 499, "paymentMethod": "card_1" });
    for (key, price) in [
        (&pounds, json!({ "amount": 4891, "currency": "GBP" })),
        (&dollars, json!({ "amount": 6200, "currency": "USD" })),
    ] {
        assert_eq!(buy(&world, key, &any).await.created()["price"], price);
    }
    let refused = buy(&world, &euros, &any).await;
    assert_eq!(refused.failure(), "422 PACKAGE_UNKNOWN");
    let named = |name: &str| json!({ "package": name, "paymentMethod": "card_1" });
    let refused = buy(&world, &pounds, &named("dollars")).await;
    assert_eq!(refused.failure(), "422 PACKAGE_UNKNOWN");
    let details = &refused.body["error"]["details"];
    assert_eq!(details, &json!({ "package": "dollars", "currency": "USD", "organisationCurrency": "GBP" }));
    buy(&world, &dollars, &named("dollars")).await.created();
    let names = |answer: &ApiAnswer| -> Vec<String> {
        let listed = answer.data();
        listed.as_array().unwrap().iter().map(|one| one["package"].as_str().unwrap().to_owned()).collect()
    };
    let path = "/api/v3/credits/packages";
    assert_eq!(names(&world.get(path, &pounds).await), ["starter", "growth", "professional"]);
    for key in [pounds.as_str(), ""] {
        assert_eq!(world.get(path, key).await.header("vary"), Some("Authorization"));
    }
    assert_eq!(names(&world.get(path, &dollars).await), ["dollars"]);
    assert_eq!(names(&world.get(path, &euros).await), Vec::<String>::new());
    assert_eq!(names(&world.get(path, "").await).len(), 5);
    assert_eq!(names(&world.get(path, world.operator()).await).len(), 5);
    assert_eq!(names(&world.get(&format!("{path}?currency=JPY"), "").await), ["yen"]);
    assert_eq!(world.get(&format!("{path}?currency=JPY"), &pounds).await.failure(), "400 VALIDATION_ERROR");
    for code in ["XXX", "XAU", "XTS", "pounds"] {
        let wrong = world.get(&format!("{path}?currency={code}"), "").await;
        assert_eq!(wrong.failure(), "400 VALIDATION_ERROR", "{code}");
        let org = json!({ "name": "Own", "currency": code });
        let refused = world.post("/admin/v1/organisations", world.operator(), &unique(), &org).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{code}");
    }
    let quote = json!({ "operation": "verification.standard", "quantity": 1_000 });
    let quoted = world.post("/api/v3/credits/quote", &dollars, &unique(), &quote).await.data();
    assert!(quoted["mend"].is_null() || quoted["mend"]["price"]["currency"] == "USD", "{quoted}");
}

#[tokio::test]
async fn of_several_packages_of_one_size_the_cheapest_sets_the_price() {
    let world = World::at(NOW).await;
    package(&world, "zulu", 500, json!({ "amount": 4500, "currency": "GBP" })).await;
    package(&world, "alpha", 500, json!({ "amount": 4000, "currency": "GBP" })).await;
    let (_, key) = open(&world, "GBP").await;
    let bought = buy(&world, &key, &json!({ "amount": 500, "paymentMethod": "card_1" })).await.created();
    assert_eq!(bought["price"]["amount"], json!(4000));
}

#[tokio::test]
async fn a_day_costs_no_more_than_its_limit() {
    let world = World::at(NOW).await;
    let (org, key) = open(&world, "GBP").await;
    package(&world, "starter", 500, json!({ "amount": 490_000, "currency": "GBP" })).await;
    let starter = json!({ "package": "starter", "paymentMethod": "card_1" });
    buy(&world, &key, &starter).await.created();
    let refused = buy(&world, &key, &starter).await;
    assert_eq!(refused.failure(), "403 SPENDING_LIMIT_REACHED");
    let details = &refused.body["error"]["details"];
    assert_eq!(details["perDay"], json!({ "amount": 500_000, "currency": "GBP" }));
    assert_eq!(details["spentToday"], json!(490_000));
    let charges = world.get("/_local/payments", "").await.data();
    assert_eq!(
        charges.as_array().unwrap().iter().filter(|charge| charge["organisationId"] == org).count(),
        1
    );
    let under_one_key = async |body: &Value| world.post("/api/v3/credits/purchase", &key, "one", body).await;
    assert_eq!(under_one_key(&starter).await.failure(), "403 SPENDING_LIMIT_REACHED");
    under_one_key(&json!({ "amount": 5, "paymentMethod": "card_1" })).await.created();
    let declined = json!({ "amount": 5, "paymentMethod": "card_declined" });
    for _ in 0..3 {
        assert_eq!(buy(&world, &key, &declined).await.failure(), "402 PAYMENT_FAILED");
    }
    buy(&world, &key, &json!({ "amount": 5, "paymentMethod": "card_1" })).await.created();
    for (amount, currency) in [(0, "GBP"), (100_000_000, "GBP"), (600_000, "USD")] {
        assert_eq!(limit(&world, &org, amount, currency).await.failure(), "400 VALIDATION_ERROR");
    }
    let raised = limit(&world, &org, 1_000_000, "GBP").await.data();
    assert_eq!(raised["perDay"], json!({ "amount": 1_000_000, "currency": "GBP" }));
    assert_eq!(raised["spentToday"], json!(499_800));
    buy(&world, &key, &starter).await.created();
    assert_eq!(buy(&world, &key, &starter).await.failure(), "403 SPENDING_LIMIT_REACHED");
    world.pass(24 * 3600).await;
    buy(&world, &key, &starter).await.created();
    let path = "/admin/v1/organisations/org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA/spending-limit";
    let body = json!({ "perDay": { "amount": 1, "currency": "GBP" } });
    assert_eq!(world.put(path, world.operator(), &body).await.failure(), "404 NOT_FOUND");
    let own = format!("/admin/v1/organisations/{org}/spending-limit");
    assert_eq!(world.put(&own, &key, &body).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
}

/// Sixteen simultaneous purchases, of which ten are within the limit.
#[tokio::test]
async fn simultaneous_purchases_stay_within_the_limit() {
    let world = Arc::new(World::at(NOW).await);
    let (org, key) = open(&world, "GBP").await;
    limit(&world, &org, 49_000, "GBP").await.data();
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (world, key) = (world.clone(), key.clone());
        let body = json!({ "package": "starter", "paymentMethod": "card_1" });
        tasks.spawn(async move { buy(&world, &key, &body).await.status });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 10, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 403).count(), 6, "{answers:?}");
    world.settle().await;
    assert_eq!(world.balance(&key).await["purchasedCredits"], json!(5_000));
}

/// A late repeat of an old limit gets its first answer and does not undo a newer one.
#[tokio::test]
async fn a_late_repeat_does_not_set_the_limit_again() {
    let world = World::at(NOW).await;
    let (org, key) = open(&world, "GBP").await;
    let path = format!("/admin/v1/organisations/{org}/spending-limit");
    let put = async |name: &str, amount: u64| {
        let body = json!({ "perDay": { "amount": amount, "currency": "GBP" } });
        let request = world.request(reqwest::Method::PUT, &path, world.operator());
        let answer = tests::send(request.header("Idempotency-Key", name).json(&body)).await;
        (answer.data()["perDay"]["amount"].clone(), answer.header("idempotent-replayed").is_some())
    };
    assert_eq!(put("a", 100).await, (json!(100), false));
    assert_eq!(put("b", 200).await, (json!(200), false));
    assert_eq!(put("a", 100).await, (json!(100), true));
    let starter = json!({ "package": "starter", "paymentMethod": "card_1" });
    let refused = buy(&world, &key, &starter).await;
    assert_eq!(refused.body["error"]["details"]["perDay"]["amount"], json!(200));
}
