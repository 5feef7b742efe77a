//! The catalogue: packages, prices and plans, and since when they apply.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiAnswer, World, send};

const PUBLIC: [&str; 3] = ["/api/v3/credits/packages", "/api/v3/pricing", "/api/v3/plans"];
pub(crate) const NOW: &str = "2024-01-15T10:30:00Z";

/// The entry of a list whose `field` is `value`.
pub(crate) fn entry(list: &Value, field: &str, value: &str) -> Value {
    list.as_array().unwrap().iter().find(|one| one[field] == json!(value)).cloned().unwrap_or_default()
}

async fn price(world: &World, operation: &str) -> Value {
    entry(&world.get("/api/v3/pricing", "").await.data(), "operation", operation)
}

pub(crate) async fn put(world: &World, path: &str, body: Value) -> ApiAnswer {
    world.put(&format!("/admin/v1/{path}"), world.operator(), &body).await
}

pub(crate) async fn advance(world: &World, seconds: u32) {
    world.post_plain("/_local/clock", &json!({ "advanceSeconds": seconds })).await.data();
}

#[tokio::test]
async fn packages_are_the_seeds() {
    let world = World::demo().await;
    let answer = world.get("/api/v3/credits/packages", "").await;
    let sold = |package, name, credits, amount, each, saving| {
        json!({ "package": package, "name": name, "credits": credits, "price": { "amount": amount, "currency": "GBP" },
            "perCredit": each, "saving": saving, "priceVersion": 1 })
    };
    let expected = json!([
        sold("starter", "Starter Pack", 500, 4_900, json!(0.098), json!(0)),
        sold("growth", "Growth Pack", 1_000, 8_900, json!(0.089), json!(9.2)),
        sold("professional", "Professional Pack", 5_000, 39_900, json!(0.0798), json!(18.6)),
    ]);
    assert_eq!(answer.data(), expected);
    assert_eq!(answer.body["meta"]["pagination"], json!({ "nextCursor": null, "hasMore": false }));
}

#[tokio::test]
async fn prices_are_the_seeds() {
    let world = World::demo().await;
    let listed = world.get("/api/v3/pricing", "").await.data();
    assert_eq!(
        entry(&listed, "operation", "verification.enhanced"),
        json!({ "operation": "verification.enhanced", "category": "verification", "credits": 2, "monthly": false,
            "priceVersion": 1, "effectiveFrom": "1970-01-01T00:00:00Z", "next": null })
    );
    let reported: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let monthly = if one["monthly"] == json!(true) { " a month" } else { "" };
            format!(
                "{} {} {}{monthly}",
                one["category"].as_str().unwrap(),
                one["operation"].as_str().unwrap(),
                one["credits"]
            )
        })
        .collect();
    assert_eq!(
        reported,
        [
            "verification verification.biometric 3",
            "verification verification.document 1",
            "verification verification.enhanced 2",
            "verification verification.standard 1",
            "aml aml.adverse_media 3",
            "aml aml.basic 1",
            "aml aml.enhanced 2",
            "aml aml.monitoring 1 a month",
            "aml aml.pep 2",
            "aml aml.sanctions 1",
            "deepfake deepfake.audio 3",
            "deepfake deepfake.document 4",
            "deepfake deepfake.image 2",
            "deepfake deepfake.video 5",
            "kyt kyt.monitoring 1 a month",
            "kyt kyt.wallet 2",
            "other api.get 0",
            "other applicants.import 0",
            "other export.excel 1",
            "other export.pdf 1",
            "other webhook.delivery 0",
        ]
    );
}

#[tokio::test]
async fn plans_are_the_seeds() {
    let world = World::demo().await;
    let plan = |plan, name, amount, credits: Value, api_access, max_users: Value| {
        let allowance = if credits.is_null() { json!("unlimited") } else { credits.clone() };
        json!({ "plan": plan, "name": name, "price": { "amount": amount, "currency": "GBP" }, "credits": credits,
            "allowance": allowance, "unlimited": credits.is_null(), "apiAccess": api_access, "maxUsers": max_users, "priceVersion": 1 })
    };
    let expected = json!([
        plan("free", "Free", 0, json!(100), false, json!(1)),
        plan("basic", "Basic", 9_900, json!(1_000), false, json!(3)),
        plan("professional", "Professional", 29_900, json!(5_000), true, json!(10)),
        plan("enterprise", "Enterprise", 99_900, Value::Null, true, Value::Null),
    ]);
    assert_eq!(world.get("/api/v3/plans", "").await.data(), expected);
}

/// No API key is needed. If one is sent, packages use the currency of its organisation.
#[tokio::test]
async fn the_catalogue_is_public() {
    let world = World::demo().await;
    for path in PUBLIC {
        let expected = world.get(path, "").await.data();
        for key in
            ["nonsense", "sk_live_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA3kzPiu", world.key(), world.operator()]
        {
            let answer = world.get(path, key).await;
            assert_eq!(answer.data(), expected, "{path}");
            let is_known = path.ends_with("packages") && key == world.key();
            assert_eq!(answer.body["meta"].get("livemode").is_some(), is_known, "{path}");
        }
        let answer = world.get(&format!("{path}?page=2"), "").await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{path}");
        assert_eq!((answer.header("cache-control"), answer.header("etag")), (Some("no-store"), None));
        let answer = send(world.request(Method::POST, path, "")).await;
        assert_eq!(answer.failure(), "405 METHOD_NOT_ALLOWED", "{path}");
    }
}

#[tokio::test]
async fn an_unchanged_catalogue_is_not_sent_again() {
    let world = World::demo().await;
    let mut tags = BTreeSet::new();
    for path in PUBLIC {
        let whole = world.get(path, "").await;
        let tag = whole.header("etag").unwrap().to_owned();
        assert_eq!(whole.header("cache-control"), Some("public, max-age=60"));
        assert_eq!(world.get(path, "").await.header("etag"), Some(tag.as_str()), "{path}");
        let strong = tag.trim_start_matches("W/");
        let asked = async |method: Method, sent: &[&str]| {
            let request = world.request(method, path, "");
            send(sent.iter().fold(request, |request, tag| request.header("If-None-Match", *tag))).await
        };
        let list = format!("\"other\", {tag}");
        for sent in [vec![tag.as_str()], vec![strong], vec!["*"], vec![&list], vec!["\"other\"", &tag]] {
            for method in [Method::GET, Method::HEAD] {
                let answer = asked(method.clone(), &sent).await;
                assert_eq!((answer.status, &answer.body), (304, &Value::Null), "{method} {path} {sent:?}");
                assert_eq!(answer.header("etag"), Some(tag.as_str()), "{method} {path} {sent:?}");
                assert_eq!(answer.header("cache-control"), Some("public, max-age=60"), "{path} {sent:?}");
                assert_eq!(answer.header("content-type"), None, "{path} {sent:?}");
                assert!(answer.header("x-request-id").is_some_and(|id| id.starts_with("req_")), "{path}");
            }
        }
        for sent in [vec!["\"other\""], vec![""], vec![strong.trim_matches('"')]] {
            assert_eq!(asked(Method::GET, &sent).await.data(), whole.data(), "{path} {sent:?}");
        }
        let head = asked(Method::HEAD, &[]).await;
        assert_eq!((head.status, &head.body), (200, &Value::Null), "{path}");
        for name in ["etag", "cache-control", "content-type", "content-length"] {
            assert_eq!(head.header(name), whole.header(name), "{path} {name}");
        }
        tags.insert(tag);
    }
    assert_eq!(tags.len(), PUBLIC.len());
    // Responses for one caller are never cached, whatever the caller sends in `If-None-Match`.
    let own = world.request(Method::GET, "/api/v3/credits/balance", world.key()).header("If-None-Match", "*");
    let own = send(own).await;
    assert_eq!((own.status, own.header("cache-control"), own.header("etag")), (200, Some("no-store"), None));
    put(&world, "pricing/aml.pep", json!({ "credits": 7 })).await.data();
    put(&world, "packages/growth", json!({ "name": "Grow" })).await.data();
    put(&world, "plans/basic", json!({ "maxUsers": 4 })).await.data();
    for path in PUBLIC {
        assert!(tags.insert(world.get(path, "").await.header("etag").unwrap().to_owned()), "{path}");
    }
}

/// A price change for tomorrow: debits of today cost the old price, debits of tomorrow the new one, and each row
/// names its version.
#[tokio::test]
async fn a_debit_keeps_the_price_it_was_charged_at() {
    let world = World::at(NOW).await;
    let body = json!({ "operation": "aml.pep" });
    let path = "pricing/aml.pep";
    let change = json!({ "credits": 6, "effectiveFrom": "2024-01-16T10:30:00Z" });
    assert_eq!(price(&world, "aml.pep").await["next"], Value::Null);
    let set = put(&world, path, change.clone()).await.data();
    assert_eq!(
        set,
        json!({ "operation": "aml.pep", "category": "aml", "credits": 6, "monthly": false, "priceVersion": 2,
            "effectiveFrom": "2024-01-16T10:30:00Z", "next": null })
    );
    let listed = price(&world, "aml.pep").await;
    assert_eq!((&listed["credits"], &listed["priceVersion"]), (&json!(2), &json!(1)));
    assert_eq!(
        listed["next"],
        json!({ "credits": 6, "priceVersion": 2, "effectiveFrom": "2024-01-16T10:30:00Z" })
    );
    advance(&world, 86_399).await;
    let today = world.consume(world.key(), "today", &body).await.created();
    assert_eq!((&today["amount"], &today["priceVersion"]), (&json!(2), &json!(1)));
    advance(&world, 1).await;
    let tomorrow = world.consume(world.key(), "tomorrow", &body).await.created();
    assert_eq!((&tomorrow["amount"], &tomorrow["priceVersion"]), (&json!(6), &json!(2)));
    let listed = price(&world, "aml.pep").await;
    assert_eq!((&listed["credits"], &listed["next"]), (&json!(6), &Value::Null));
    // Repeating the change after it took effect is still the same change.
    assert_eq!(put(&world, path, change).await.data(), set);
    assert_eq!(put(&world, path, json!({ "credits": 0 })).await.data()["priceVersion"], json!(3));
    let lines = world.transactions(world.key(), "operation=aml.pep&limit=2").await;
    assert_eq!((&lines[0]["priceVersion"], &lines[0]["amount"]), (&json!(2), &json!(6)));
    assert_eq!((&lines[1]["priceVersion"], &lines[1]["amount"]), (&json!(1), &json!(2)));
    let again = world.consume(world.key(), "today", &body).await;
    assert_eq!(
        (again.header("idempotent-replayed"), &again.created()["priceVersion"]),
        (Some("true"), &json!(1))
    );
    let free = world.consume(world.key(), "free", &body).await.created();
    assert_eq!((&free["amount"], &free["priceVersion"]), (&json!(0), &json!(3)));
}
