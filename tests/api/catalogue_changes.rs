//! The operator's changes of the catalogue: versions, and that none is lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{
    Credits, EffectiveTime, ExchangeRateList, Operation, PriceCategory, PriceList, PriceUpdate, Rate,
    Reference,
};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{TestLedger, World, WriteFault, backends, send, unique};

use crate::api::catalogue::{NOW, advance, entry, put};

#[tokio::test]
async fn a_repeated_put_changes_nothing() {
    let world = World::at(NOW).await;
    let later = "2024-02-01T00:00:00Z";
    for (path, body) in [
        ("pricing/aml.pep", json!({ "credits": 5 })),
        ("pricing/aml.pep", json!({ "credits": 9, "effectiveFrom": later })),
        ("packages/growth", json!({ "price": { "amount": 8_800, "currency": "GBP" } })),
        ("packages/growth", json!({ "withdrawn": true, "effectiveFrom": later })),
        ("plans/basic", json!({ "price": { "amount": 8_900, "currency": "GBP" }, "maxUsers": "unlimited" })),
        ("plans/basic", json!({ "allowance": "unlimited", "effectiveFrom": later })),
    ] {
        let first = put(&world, path, body.clone()).await.data();
        advance(&world, 1).await;
        assert_eq!(put(&world, path, body.clone()).await.data(), first, "{path} {body}");
        let named = async |name: &str| {
            let request = world.request(Method::PUT, &format!("/admin/v1/{path}"), world.operator());
            send(request.header("Idempotency-Key", name).json(&body)).await
        };
        assert_eq!(named("two words").await.failure(), "400 VALIDATION_ERROR");
        let name = tests::unique();
        for replayed in [None, Some("true")] {
            let answer = named(&name).await;
            let reported = (answer.data(), answer.header("idempotent-replayed"));
            assert_eq!(reported, (first.clone(), replayed), "{path} {body}");
        }
    }
    // Repeating the first of two changes keeps the one that was planned after it.
    let set = put(&world, "pricing/aml.pep", json!({ "credits": 5 })).await.data();
    assert_eq!((&set["priceVersion"], &set["next"]["priceVersion"]), (&json!(2), &json!(3)));
}

#[tokio::test]
async fn packages_come_change_and_go() {
    let world = World::at(NOW).await;
    let sold = async || {
        let list = world.get("/api/v3/credits/packages", "").await.data();
        list.as_array()
            .unwrap()
            .iter()
            .map(|one| {
                format!(
                    "{} v{} {} {} {}",
                    one["package"].as_str().unwrap(),
                    one["priceVersion"],
                    one["credits"],
                    one["perCredit"],
                    one["saving"]
                )
            })
            .collect::<Vec<_>>()
    };
    let (starter, growth, most) =
        ("starter v1 500 0.098 0", "growth v1 1000 0.089 9.2", "professional v1 5000 0.0798 18.6");
    let euros = json!({ "name": "Euros", "credits": 800, "price": { "amount": 8_000, "currency": "EUR" } });
    let made = put(&world, "packages/euros", euros).await.data();
    assert_eq!(
        made,
        json!({ "package": "euros", "name": "Euros", "credits": 800, "price": { "amount": 8_000, "currency": "EUR" },
            "priceVersion": 1, "withdrawn": false, "effectiveFrom": NOW })
    );
    assert_eq!(sold().await, [starter, "euros v1 800 0.1 0", growth, most]);
    let mini = json!({ "name": "Mini", "credits": 10, "price": { "amount": 100, "currency": "GBP" },
        "effectiveFrom": "2024-01-15T10:31:00Z" });
    put(&world, "packages/mini", mini).await.data();
    put(&world, "packages/euros", json!({ "withdrawn": true })).await.data();
    assert_eq!(sold().await, [starter, growth, most]);
    advance(&world, 60).await;
    let compared = [
        "mini v1 10 0.1 0",
        "starter v1 500 0.098 2",
        "growth v1 1000 0.089 11",
        "professional v1 5000 0.0798 20.2",
    ];
    assert_eq!(sold().await, compared);
    let changed = put(&world, "packages/growth", json!({ "credits": 1_100 })).await.data();
    assert_eq!((&changed["name"], &changed["price"]["amount"]), (&json!("Growth Pack"), &json!(8_900)));
    assert_eq!(sold().await[2], "growth v2 1100 0.080909 19.1");
    let back = put(&world, "packages/euros", json!({ "withdrawn": false })).await.data();
    assert_eq!(
        (&back["priceVersion"], &back["name"], &back["credits"]),
        (&json!(3), &json!("Euros"), &json!(800))
    );
    assert_eq!(sold().await.len(), 5);
}

#[tokio::test]
async fn plan_changes_take_effect_at_their_time() {
    let world = World::at(NOW).await;
    let opened = async |plan: &str| {
        let body = json!({ "name": "Own", "plan": plan });
        world.post("/admin/v1/organisations", world.operator(), &unique(), &body).await
    };
    let org = opened("basic").await.created();
    assert_eq!(org["allowance"], json!(1_000));
    let path = format!("/admin/v1/organisations/{}/keys", org["organisationId"].as_str().unwrap());
    let key = world.post(&path, world.operator(), "k", &json!({ "mode": "live" })).await.created();
    let key = key["key"].as_str().unwrap();
    let looked = async || world.get("/api/v3/credits/balance", key).await.status;
    assert_eq!(looked().await, 403);
    assert_eq!(
        put(&world, "plans/basic", json!({ "apiAccess": true })).await.data()["priceVersion"],
        json!(2)
    );
    assert_eq!(looked().await, 200);
    let later = json!({ "apiAccess": false, "allowance": 2_000, "effectiveFrom": "2024-01-15T11:00:00Z" });
    let planned = put(&world, "plans/basic", later).await.data();
    assert_eq!(
        planned,
        json!({ "plan": "basic", "name": "Basic", "price": { "amount": 9_900, "currency": "GBP" }, "credits": 2_000,
            "allowance": 2_000, "unlimited": false, "apiAccess": false, "maxUsers": 3, "priceVersion": 3, "effectiveFrom": "2024-01-15T11:00:00Z" })
    );
    advance(&world, 1_799).await;
    assert_eq!((looked().await, opened("basic").await.created()["allowance"].clone()), (200, json!(1_000)));
    advance(&world, 1).await;
    assert_eq!((looked().await, opened("basic").await.created()["allowance"].clone()), (403, json!(2_000)));
    let gold = json!({ "name": "Gold", "price": { "amount": 0, "currency": "EUR" }, "allowance": "unlimited",
        "apiAccess": true, "maxUsers": "unlimited", "effectiveFrom": "2024-01-16T11:00:00Z" });
    let made = put(&world, "plans/gold", gold).await.data();
    assert_eq!(
        (&made["credits"], &made["allowance"], &made["unlimited"], &made["maxUsers"]),
        (&Value::Null, &json!("unlimited"), &json!(true), &Value::Null)
    );
    assert_eq!(opened("gold").await.failure(), "400 VALIDATION_ERROR");
    assert_eq!(entry(&world.get("/api/v3/plans", "").await.data(), "plan", "gold"), Value::Null);
    advance(&world, 86_400).await;
    assert_eq!(opened("gold").await.created()["allowance"], Value::Null);
    assert_eq!(world.get("/api/v3/plans", "").await.data().as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn rates_are_set_one_way() {
    let world = World::demo().await;
    let path = "/admin/v1/exchange-rates";
    assert_eq!(world.get(path, world.operator()).await.data(), json!([]));
    for (pair, rate) in
        [("GBP/EUR", json!(1.17)), ("EUR/GBP", json!(0.85)), ("GBP/USD", json!(2)), ("GBP/EUR", json!(1.2))]
    {
        let (from, to) = pair.split_once('/').unwrap();
        let set = put(&world, &format!("exchange-rates/{pair}"), json!({ "rate": rate })).await.data();
        assert_eq!(set, json!({ "from": from, "to": to, "rate": rate }));
    }
    let answer = world.get(path, world.operator()).await;
    let rates = json!([
        { "from": "EUR", "to": "GBP", "rate": 0.85 },
        { "from": "GBP", "to": "EUR", "rate": 1.2 },
        { "from": "GBP", "to": "USD", "rate": 2 },
    ]);
    assert_eq!(answer.data(), rates);
    assert_eq!(answer.body["meta"]["pagination"], json!({ "nextCursor": null, "hasMore": false }));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

/// Simultaneous changes are all made, whether or not they concern the same entry.
#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_changes_are_all_made() {
    let world = Arc::new(World::demo().await);
    let changes = (0..16).flat_map(|n| {
        let price = json!({ "amount": 100 + n, "currency": "GBP" });
        [
            (format!("pricing/own.{n}"), json!({ "credits": n, "category": "other" })),
            ("pricing/aml.pep".to_owned(), json!({ "credits": 100 + n })),
            (format!("packages/own{n}"), json!({ "name": "Own", "credits": 10 + n, "price": price })),
            ("plans/basic".to_owned(), json!({ "maxUsers": 100 + n })),
        ]
    });
    let sent: Vec<_> = changes
        .map(|(path, body)| {
            let world = world.clone();
            tokio::spawn(async move {
                (path.clone(), put(&world, &path, body).await.data()["priceVersion"].clone())
            })
        })
        .collect();
    let mut versions = Vec::new();
    for sent in sent {
        versions.push(sent.await.unwrap());
    }
    for path in ["pricing/aml.pep", "plans/basic"] {
        let reported = versions
            .iter()
            .filter(|(changed, _)| changed == path)
            .map(|(_, version)| version.as_u64().unwrap());
        let reported: BTreeSet<_> = reported.collect();
        assert_eq!(reported, (2..18).collect::<BTreeSet<_>>(), "{path}");
    }
    let prices = world.get("/api/v3/pricing", "").await.data();
    let packages = world.get("/api/v3/credits/packages", "").await.data();
    for n in 0..16 {
        assert_eq!(entry(&prices, "operation", &format!("own.{n}"))["credits"], json!(n));
        assert_eq!(entry(&packages, "package", &format!("own{n}"))["credits"], json!(10 + n));
    }
    assert_eq!(entry(&prices, "operation", "aml.pep")["priceVersion"], json!(17));
}

/// The same with processes that share no cache, on every available DynamoDB; another function notices a
/// change within five seconds.
#[tokio::test(flavor = "multi_thread")]
async fn processes_without_shared_caches_lose_no_change() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let start = "2024-01-15T10:30:00Z".parse().unwrap();
        let settings = Arc::new(fixture.settings());
        settings.load(&local::catalogue().unwrap()).await.unwrap();
        let before = settings.catalogue(start).await.unwrap();
        let changes: Vec<_> = (0..16u64)
            .map(|n| {
                let settings = fixture.settings();
                tokio::spawn(async move {
                    let operation = Operation::try_from(format!("own.{n}")).unwrap();
                    let credits = Credits::try_from(n).unwrap();
                    let wanted = PriceUpdate { credits, category: Some(PriceCategory::Other), monthly: None };
                    let set =
                        |list: &PriceList| list.change(&operation, wanted, EffectiveTime::new(None, start));
                    settings.change(set).await.unwrap().price.version
                })
            })
            .collect();
        for change in changes {
            assert_eq!(change.await.unwrap(), 1, "{backend:?}");
        }
        let rate: Rate = serde_json::from_value(json!(1.170001)).unwrap();
        let (gbp, eur) =
            (serde_json::from_value(json!("GBP")).unwrap(), serde_json::from_value(json!("EUR")).unwrap());
        fixture
            .settings()
            .change(|rates: &ExchangeRateList| Ok((rates.change(gbp, eur, rate)?, ())))
            .await
            .unwrap();
        let after = |seconds| start + chrono::Duration::seconds(seconds);
        assert_eq!(settings.catalogue(after(4)).await.unwrap(), before, "{backend:?}");
        let now = settings.catalogue(after(5)).await.unwrap();
        assert_eq!(now.prices.listed(start).len(), 21 + 16, "{backend:?}");
        assert_eq!((now.rate(gbp, eur), now.rate(eur, gbp)), (Some(rate), None), "{backend:?}");
        assert_eq!((&now.plans, &now.packages), (&before.plans, &before.packages), "{backend:?}");
    }
}

/// A change whose request or answer is lost is repeated, and makes one version.
#[tokio::test]
async fn a_change_with_a_lost_answer_is_made_once() {
    let start = NOW.parse().unwrap();
    for kind in
        [WriteFault::AnswerLost, WriteFault::RequestLost, WriteFault::Throttled, WriteFault::ServerError]
    {
        let fixture = TestLedger::new().await;
        fixture.settings().load(&local::catalogue().unwrap()).await.unwrap();
        let settings = fixture.settings();
        let operation = Operation::try_from("aml.pep".to_owned()).unwrap();
        let credits = Credits::try_from(7).unwrap();
        let wanted = PriceUpdate { credits, category: None, monthly: None };
        let set = |list: &PriceList| list.change(&operation, wanted, EffectiveTime::new(None, start));
        let faults = fixture.faults.as_ref().unwrap();
        faults.arm(0, kind);
        assert_eq!(settings.change(set).await.unwrap().price.version, 2, "{kind:?}");
        assert_eq!(faults.writes(), 3, "{kind:?}: twice the change, and the log of changes");
        let listed = settings.catalogue(start).await.unwrap().prices.listed(start);
        let listed = listed.iter().find(|listed| listed.operation == operation).unwrap();
        assert_eq!((listed.price.version, listed.price.credits), (2, credits), "{kind:?}");
    }
}

/// A read that started before a change and ends after it is not cached: a function sees its own changes at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_before_a_change_is_not_cached_after_it() {
    let fixture = TestLedger::new().await;
    let settings = Arc::new(fixture.settings());
    settings.load(&local::catalogue().unwrap()).await.unwrap();
    let operation = Operation::try_from("aml.pep".to_owned()).unwrap();
    let name = Reference::try_from("aml.pep".to_owned()).unwrap();
    let mut now: DateTime<Utc> = NOW.parse().unwrap();
    for version in 2..52 {
        // Late enough that no cache is fresh, so every request reads the catalogue.
        now += chrono::Duration::seconds(60);
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let settings = settings.clone();
                tokio::spawn(async move { settings.catalogue(now).await.unwrap() })
            })
            .collect();
        let credits = Credits::try_from(version).unwrap();
        let wanted = PriceUpdate { credits, category: None, monthly: None };
        let set = |list: &PriceList| list.change(&operation, wanted, EffectiveTime::new(None, now));
        let reported = settings.change(set).await.unwrap().price;
        for reader in readers {
            reader.await.unwrap();
        }
        let known = settings.catalogue(now).await.unwrap();
        assert_eq!(known.prices.price(&name, now).unwrap().1, reported, "{version}");
    }
}

#[tokio::test]
async fn only_operators_change_the_catalogue() {
    let world = World::demo().await;
    let before = world.get("/api/v3/pricing", "").await.data();
    for (path, body) in [
        ("pricing/aml.pep", json!({ "credits": 1 })),
        ("packages/growth", json!({ "credits": 1 })),
        ("plans/basic", json!({ "maxUsers": 1 })),
        ("exchange-rates/GBP/EUR", json!({ "rate": 1.1 })),
    ] {
        let path = format!("/admin/v1/{path}");
        assert_eq!(world.put(&path, "", &body).await.failure(), "401 MISSING_API_KEY", "{path}");
        assert_eq!(world.put(&path, "ok_live_x", &body).await.failure(), "401 INVALID_API_KEY", "{path}");
        for key in [world.key(), world.test_key()] {
            assert_eq!(
                world.put(&path, key, &body).await.failure(),
                "403 INSUFFICIENT_PERMISSIONS",
                "{path}"
            );
        }
    }
    let rates = "/admin/v1/exchange-rates";
    assert_eq!(world.get(rates, "").await.failure(), "401 MISSING_API_KEY");
    assert_eq!(world.get(rates, world.key()).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    assert_eq!(world.get(rates, world.operator()).await.data(), json!([]));
    assert_eq!(world.get("/api/v3/pricing", "").await.data(), before);
}
