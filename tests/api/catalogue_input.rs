//! Invalid changes of the catalogue are refused.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{World, send};

use crate::api::catalogue::NOW;

/// A time before the clock's.
const PAST: &str = "2024-01-15T10:29:59Z";

async fn everything(world: &World) -> Vec<Value> {
    let mut reported = vec![world.get("/admin/v1/exchange-rates", world.operator()).await.data()];
    for path in ["credits/packages", "pricing", "plans"] {
        reported.push(world.get(&format!("/api/v3/{path}"), "").await.data());
    }
    reported
}

/// Checks that each body is refused at its path with exactly these fields, and changes nothing.
async fn check(world: &World, table: &[(&str, Value, &str)]) {
    let before = everything(world).await;
    for (path, body, fields) in table {
        let answer = world.put(&format!("/admin/v1/{path}"), world.operator(), body).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{path} {body}");
        let reported = answer.body["error"]["details"]["fields"].as_object().unwrap();
        let reported: Vec<_> = reported.keys().map(String::as_str).collect();
        assert_eq!(reported.join(" "), *fields, "{path} {body}: {}", answer.body);
    }
    assert_eq!(everything(world).await, before);
}

#[tokio::test]
async fn an_invalid_price_is_refused() {
    let world = World::at(NOW).await;
    let long = format!("pricing/{}", "x".repeat(65));
    check(
        &world,
        &[
            ("pricing/aml.pep", json!({}), "credits"),
            ("pricing/aml.pep", json!([]), "body"),
            ("pricing/aml.pep", json!({ "credits": -1 }), "credits"),
            ("pricing/aml.pep", json!({ "credits": 1.5 }), "credits"),
            ("pricing/aml.pep", json!({ "credits": "1" }), "credits"),
            ("pricing/aml.pep", json!({ "credits": null }), "credits"),
            ("pricing/aml.pep", json!({ "credits": 1_000_001 }), "credits"),
            ("pricing/aml.pep", json!({ "credits": 1e30 }), "credits"),
            ("pricing/aml.pep", json!({ "credits": 1, "category": "AML" }), "category"),
            ("pricing/aml.pep", json!({ "credits": 1, "monthly": "yes" }), "monthly"),
            ("pricing/aml.pep", json!({ "credits": 1, "price": 1 }), "price"),
            ("pricing/aml.pep", json!({ "credits": 1, "effectiveFrom": PAST }), "effectiveFrom"),
            ("pricing/aml.pep", json!({ "credits": 1, "effectiveFrom": "tomorrow" }), "effectiveFrom"),
            ("pricing/aml.pep", json!({ "credits": 1, "effectiveFrom": 1_800_000_000 }), "effectiveFrom"),
            ("pricing/aml.new", json!({ "credits": 1 }), "category"),
            ("pricing/AML.PEP", json!({ "credits": 1, "category": "aml" }), "operation"),
            ("pricing/aml%20pep", json!({ "credits": 1, "category": "aml" }), "operation"),
            (&long, json!({ "credits": 1, "category": "aml" }), "operation"),
            ("pricing/credit.purchase", json!({ "credits": 1, "category": "other" }), "operation"),
            ("pricing/ledger.fence", json!({ "credits": 1, "category": "other" }), "operation"),
            ("pricing/account.opened", json!({ "credits": 1, "category": "other" }), "operation"),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_invalid_package_is_refused() {
    let world = World::at(NOW).await;
    let long = format!("packages/{}", "x".repeat(65));
    let price = json!({ "amount": 100, "currency": "GBP" });
    let priced = |amount: Value| json!({ "price": { "amount": amount, "currency": "GBP" } });
    check(
        &world,
        &[
            ("packages/new", json!({}), "credits name price"),
            ("packages/new", json!({ "name": "New", "price": price }), "credits"),
            ("packages/New", json!({ "name": "New", "credits": 1, "price": price }), "package"),
            (&long, json!({ "name": "New", "credits": 1, "price": price }), "package"),
            ("packages/growth", json!({ "credits": 0 }), "credits"),
            ("packages/growth", json!({ "credits": 1_000_000_000_001_u64 }), "credits"),
            ("packages/growth", json!({ "name": "" }), "name"),
            ("packages/growth", json!({ "name": "a\nb" }), "name"),
            ("packages/growth", json!({ "price": 100 }), "price"),
            ("packages/growth", priced(json!(0)), "price"),
            ("packages/growth", priced(json!(100_000_000)), "price"),
            ("packages/growth", priced(json!(0.5)), "price.amount"),
            ("packages/growth", json!({ "price": { "amount": 100 } }), "price.currency"),
            ("packages/growth", json!({ "price": { "amount": 100, "currency": "gbp" } }), "price.currency"),
            ("packages/growth", json!({ "price": { "amount": 100, "currency": "ABC" } }), "price.currency"),
            (
                "packages/growth",
                json!({ "price": { "amount": 100, "currency": "GBP", "tax": 1 } }),
                "price.tax",
            ),
            ("packages/growth", json!({ "withdrawn": 1 }), "withdrawn"),
            ("packages/growth", json!({ "withdraw": true }), "withdraw"),
            ("packages/growth", json!({ "credits": 7, "effectiveFrom": PAST }), "effectiveFrom"),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_invalid_plan_is_refused() {
    let world = World::at(NOW).await;
    let price = json!({ "amount": 100, "currency": "GBP" });
    let priced = |amount: Value| json!({ "price": { "amount": amount, "currency": "GBP" } });
    check(
        &world,
        &[
            ("plans/new", json!({ "name": "New", "price": price }), "allowance apiAccess maxUsers"),
            ("plans/a b", json!({ "name": "New" }), "plan"),
            ("plans/basic", priced(json!(-1)), "price.amount"),
            ("plans/basic", priced(json!(100_000_000)), "price.amount"),
            ("plans/basic", json!({ "price": { "amount": 0, "currency": "pounds" } }), "price.currency"),
            ("plans/basic", json!({ "allowance": -1 }), "allowance"),
            ("plans/basic", json!({ "allowance": "100" }), "allowance"),
            ("plans/basic", json!({ "allowance": "Unlimited" }), "allowance"),
            ("plans/basic", json!({ "allowance": 1_000_000_000_001_u64 }), "allowance"),
            ("plans/basic", json!({ "maxUsers": 0 }), "maxUsers"),
            ("plans/basic", json!({ "maxUsers": 1_000_001 }), "maxUsers"),
            ("plans/basic", json!({ "maxUsers": "many" }), "maxUsers"),
            ("plans/basic", json!({ "maxUsers": 1.5 }), "maxUsers"),
            ("plans/basic", json!({ "maxUsers": 4_294_967_297_u64 }), "maxUsers"),
            ("plans/basic", json!({ "maxUsers": {} }), "maxUsers"),
            ("plans/basic", json!({ "apiAccess": "true" }), "apiAccess"),
            ("plans/basic", json!({ "credits": 1 }), "credits"),
            ("plans/basic", json!({ "maxUsers": 9, "effectiveFrom": PAST }), "effectiveFrom"),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_invalid_rate_is_refused() {
    let world = World::at(NOW).await;
    check(
        &world,
        &[
            ("exchange-rates/GBP/EUR", json!({}), "rate"),
            ("exchange-rates/GBP/EUR", json!({ "rate": 0 }), "rate"),
            ("exchange-rates/GBP/EUR", json!({ "rate": -1.5 }), "rate"),
            ("exchange-rates/GBP/EUR", json!({ "rate": 1_000_000.5 }), "rate"),
            ("exchange-rates/GBP/EUR", json!({ "rate": 1.123_456_7 }), "rate"),
            ("exchange-rates/GBP/EUR", json!({ "rate": 1e300 }), "rate"),
            ("exchange-rates/GBP/EUR", json!({ "rate": "much" }), "rate"),
            ("exchange-rates/GBP/EUR", json!({ "rate": true }), "rate"),
            ("exchange-rates/GBP/EUR", json!({ "rate": 1.1, "effectiveFrom": NOW }), "effectiveFrom"),
            ("exchange-rates/gbp/EUR", json!({ "rate": 1.1 }), "from"),
            ("exchange-rates/GBP/XYZ1", json!({ "rate": 1.1 }), "to"),
            ("exchange-rates/GBP/GBP", json!({ "rate": 1.1 }), "to"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_malformed_put_is_refused_before_anything_else() {
    let world = World::at(NOW).await;
    let before = everything(&world).await;
    let request = |path: &str| world.request(Method::PUT, &format!("/admin/v1/{path}"), world.operator());
    let form = request("pricing/aml.pep").body("credits=1");
    assert_eq!(send(form).await.failure(), "415 UNSUPPORTED_MEDIA_TYPE");
    let huge = request("packages/growth").json(&json!({ "name": "x".repeat(1 << 17) }));
    assert_eq!(send(huge).await.failure(), "413 PAYLOAD_TOO_LARGE");
    for (method, path) in [(Method::POST, "pricing/aml.pep"), (Method::DELETE, "packages/growth")] {
        let answer = send(world.request(method, &format!("/admin/v1/{path}"), world.operator())).await;
        assert_eq!(answer.failure(), "405 METHOD_NOT_ALLOWED");
    }
    assert_eq!(everything(&world).await, before);
}

/// Values at the limits are accepted, and null is the same as no value.
#[tokio::test]
async fn limits_are_within_reach() {
    let world = World::at(NOW).await;
    let name = "x".repeat(64);
    for (path, body) in [
        (format!("pricing/{name}"), json!({ "credits": 1_000_000, "category": "other", "monthly": true })),
        ("pricing/aml.pep".into(), json!({ "credits": 0, "category": null, "effectiveFrom": null })),
        ("pricing/aml.pep".into(), json!({ "credits": 3, "effectiveFrom": NOW })),
        ("pricing/aml.pep".into(), json!({ "credits": 4, "effectiveFrom": "9999-12-31T23:59:59Z" })),
        (
            format!("packages/{name}"),
            json!({ "name": "n".repeat(255), "credits": 1_000_000_000_000_u64,
                "price": { "amount": 99_999_999, "currency": "JPY" } }),
        ),
        (
            "packages/a-b_c.1".into(),
            json!({ "name": "A", "credits": 1, "price": { "amount": 1, "currency": "KWD" } }),
        ),
        ("packages/starter".into(), json!({ "name": "Start", "credits": null, "withdrawn": null })),
        ("plans/free".into(), json!({ "allowance": 0, "maxUsers": 1_000_000, "price": null })),
        (
            "plans/free".into(),
            json!({ "allowance": 1_000_000_000_000_u64, "price": { "amount": 99_999_999, "currency": "USD" } }),
        ),
        ("exchange-rates/GBP/EUR".into(), json!({ "rate": 0.000_001 })),
        ("exchange-rates/EUR/GBP".into(), json!({ "rate": 1_000_000 })),
    ] {
        let answer = world.put(&format!("/admin/v1/{path}"), world.operator(), &body).await;
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.body);
    }
    let body = json!({ "operation": name, "quantity": 1_000_000 });
    let refused = world.consume(world.key(), "k1", &body).await;
    assert_eq!(refused.body["error"]["details"]["required"], json!(1_000_000_000_000_u64));
    for number in 3..=50 {
        let set =
            world.put("/admin/v1/packages/starter", world.operator(), &json!({ "credits": number })).await;
        assert_eq!(set.data()["priceVersion"], json!(number));
    }
    let full = world.put("/admin/v1/packages/starter", world.operator(), &json!({ "credits": 51 })).await;
    assert_eq!(full.failure(), "409 CONFLICT");
    let again = world.put("/admin/v1/packages/starter", world.operator(), &json!({ "credits": 50 })).await;
    assert_eq!(again.data()["priceVersion"], json!(50));
}
