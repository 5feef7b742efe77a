//! Packages that are reserved for a service.

use serde_json::{Value, json};
use tests::World;

const NOW: &str = "2024-01-15T10:30:00Z";

async fn sell(world: &World, service: &str) -> Value {
    let body = json!({ "name": "Faces", "credits": 50, "price": { "amount": 900, "currency": "GBP" }, "service": service });
    world.put("/admin/v1/packages/faces", world.operator(), &body).await.data()
}

#[tokio::test]
async fn what_is_bought_for_a_service_is_reserved_for_it_and_never_expires() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let set = sell(&world, "biometric").await;
    assert_eq!((&set["service"], &set["priceVersion"]), (&json!("biometric"), &json!(1)));
    let sold = world.get("/api/v3/credits/packages", "").await.data();
    let sold: Vec<_> = sold
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["package"], &one["service"], &one["saving"]))
        .collect();
    // A package of a service is not compared with those of none.
    assert_eq!(sold[0], (&json!("faces"), &json!("biometric"), &json!(0)));
    assert_eq!(sold[1], (&json!("starter"), &Value::Null, &json!(0)));
    // A version that does not name the service keeps it.
    let cheaper = json!({ "price": { "amount": 800, "currency": "GBP" } });
    let cheaper = world.put("/admin/v1/packages/faces", world.operator(), &cheaper).await.data();
    assert_eq!((&cheaper["service"], &cheaper["priceVersion"]), (&json!("biometric"), &json!(2)));
    let wrong = world.put("/admin/v1/packages/faces", world.operator(), &json!({ "service": "faces" })).await;
    assert_eq!(wrong.failure(), "400 VALIDATION_ERROR");
    let body = json!({ "package": "faces", "paymentMethod": "card_1" });
    let bought = world.post("/api/v3/credits/purchase", &org.key, "buy", &body).await.created();
    assert_eq!((&bought["credits"], &bought["price"]["amount"]), (&json!(50), &json!(800)));
    let line = &world.transactions(&org.key, "operation=credit.purchase").await[0];
    assert_eq!((&line["service"], &line["package"]), (&json!("biometric"), &json!("faces")));
    let balance = world.balance(&org.key).await;
    assert_eq!((&balance["purchasedCredits"], &balance["spendable"]), (&json!(50), &json!(0)));
    let debit = json!({ "operation": "verification.standard" });
    assert_eq!(world.consume(&org.key, "k1", &debit).await.failure(), "402 INSUFFICIENT_CREDITS");
    world.post_plain("/_local/clock", &json!({ "now": "2030-01-15T10:30:00Z" })).await.data();
    let debit = json!({ "operation": "verification.biometric", "service": "biometric" });
    world.consume(&org.key, "k2", &debit).await.created();
    let records =
        world.get("/v2/credits?where_category=purchase&where_status=approved", &org.key).await.data();
    let record = records.as_array().unwrap().iter().find(|one| one["service"] == json!("biometric")).unwrap();
    assert_eq!(
        (&record["used"], &record["remaining"], &record["expiresAt"]),
        (&json!(3), &json!(47), &Value::Null)
    );
    world.settle().await;
    let report = world.get("/api/v3/credits/audit", &org.key).await.data();
    assert_eq!(report["verified"], json!(true));
}

/// Credits of any number, a quote and auto-recharge count on packages without a service.
#[tokio::test]
async fn a_package_of_a_service_sets_no_other_price() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    sell(&world, "api").await;
    let body = json!({ "amount": 60, "paymentMethod": "card_1" });
    let bought = world.post("/api/v3/credits/purchase", &org.key, "buy", &body).await.created();
    // The starter pack's price a credit is 9.8 pence.
    assert_eq!(bought["price"]["amount"], json!(588));
    let quote = json!({ "operation": "verification.standard", "quantity": 100 });
    let quote = world.post("/api/v3/credits/quote", &org.key, "", &quote).await.data();
    assert_eq!(quote["mend"]["package"], json!("starter"), "{quote}");
    let recharge = json!({ "enabled": true, "threshold": 100, "amount": 50, "paymentMethod": "card_1" });
    world.put("/api/v3/credits/auto-recharge", &org.key, &recharge).await.data();
    world.settle().await;
    assert_eq!(world.balance(&org.key).await["spendable"], json!(110));
}

/// The money of such a purchase goes back: its own credits are taken, and those that are gone become a debt.
#[tokio::test]
async fn a_refund_of_the_payment_takes_the_credits_of_the_service() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    sell(&world, "biometric").await;
    let body = json!({ "package": "faces", "paymentMethod": "card_1" });
    let bought = world.post("/api/v3/credits/purchase", &org.key, "buy", &body).await.created();
    let plain = json!({ "amount": 10, "paymentMethod": "card_1" });
    world.post("/api/v3/credits/purchase", &org.key, "plain", &plain).await.created();
    let debit = json!({ "operation": "verification.biometric", "service": "biometric" });
    world.consume(&org.key, "k1", &debit).await.created();
    let purchase = bought["transactionId"].as_str().unwrap();
    let path = format!("/admin/v1/organisations/{}/purchases/{purchase}/refund", org.id);
    let half = json!({ "amount": 450, "reason": "Half of it" });
    world.post(&path, world.operator(), "half", &half).await.created();
    world.settle().await;
    let balance = world.balance(&org.key).await;
    assert_eq!(
        (&balance["purchasedCredits"], &balance["spendable"]),
        (&json!(22 + 10), &json!(10)),
        "{balance}"
    );
    world.post(&path, world.operator(), "rest", &json!({ "reason": "All of it" })).await.created();
    world.settle().await;
    // Three were spent: they are taken from the plain credits.
    let balance = world.balance(&org.key).await;
    assert_eq!((&balance["purchasedCredits"], &balance["spendable"]), (&json!(7), &json!(7)), "{balance}");
}
