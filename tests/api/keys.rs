//! API keys: which requests a key may make, and which credits it sees.

use reqwest::Method;
use serde_json::json;
use tests::{World, send, unique};

#[tokio::test]
async fn invalid_keys_are_refused() {
    let world = World::demo().await;
    let last = if world.key().ends_with('x') { 'y' } else { 'x' };
    let near_miss = format!("{}{last}", &world.key()[..47]);
    let foreign = "sk_live_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA3kzPiu";
    for (header, expected) in [
        (String::new(), "401 MISSING_API_KEY"),
        ("Bearer".into(), "401 MISSING_API_KEY"),
        ("Bearer ".into(), "401 MISSING_API_KEY"),
        (format!("Bearer {near_miss}"), "401 INVALID_API_KEY"),
        (format!("Bearer {foreign}"), "401 INVALID_API_KEY"),
        (format!("Basic {}", world.key()), "401 INVALID_API_KEY"),
        (world.key().to_owned(), "401 INVALID_API_KEY"),
        (format!("Bearer {} {}", world.key(), world.key()), "401 INVALID_API_KEY"),
        (format!("Bearer {}", "k".repeat(5_000)), "401 INVALID_API_KEY"),
    ] {
        let mut request = world.request(Method::GET, "/api/v3/credits/balance", "");
        if !header.is_empty() {
            request = request.header("Authorization", &header);
        }
        assert_eq!(send(request).await.failure(), expected, "{header}");
    }
    let twice = world.request(Method::GET, "/api/v3/credits/balance", world.key());
    assert_eq!(
        send(twice.header("Authorization", format!("Bearer {}", world.key()))).await.failure(),
        "401 INVALID_API_KEY"
    );
    let lower = world
        .request(Method::GET, "/api/v3/credits/balance", "")
        .header("Authorization", format!("bearer {}", world.key()));
    assert_eq!(send(lower).await.status, 200);
}

#[tokio::test]
async fn a_revoked_key_is_refused_and_a_new_one_works() {
    let world = World::demo().await;
    let org = world.open(10).await;
    let path = format!("/admin/v1/organisations/{}/keys", org.id);
    let second = world.post(&path, world.operator(), "second", &json!({ "mode": "live" })).await.created();
    let key = second["key"].as_str().unwrap();
    assert_eq!((key.len(), &key[..8]), (48, "sk_live_"));
    assert_eq!(second["last4"], json!(&key[44..]));
    assert_eq!(world.balance(key).await["available"], json!(10));
    let gone =
        world.delete(&format!("{path}/{}", second["keyId"].as_str().unwrap()), world.operator()).await.data();
    assert_eq!(gone["keyId"], second["keyId"]);
    assert_eq!(world.get("/api/v3/credits/balance", key).await.failure(), "401 EXPIRED_API_KEY");
    assert_eq!(world.balance(&org.key).await["available"], json!(10));
    // Revoking again keeps the first time. Repeating the request that created a key creates no second key and does
    // not show the secret again.
    let again =
        world.delete(&format!("{path}/{}", second["keyId"].as_str().unwrap()), world.operator()).await.data();
    assert_eq!(again, gone);
    let replay = world.post(&path, world.operator(), "second", &json!({ "mode": "live" })).await;
    assert_eq!(replay.header("idempotent-replayed"), Some("true"));
    let replay = replay.created();
    assert_eq!((&replay["key"], &replay["secretShown"]), (&serde_json::Value::Null, &json!(true)));
    for field in ["keyId", "last4", "scopes", "mode", "createdAt"] {
        assert_eq!(replay[field], second[field], "{field}");
    }
    assert_eq!(world.get("/api/v3/credits/balance", key).await.failure(), "401 EXPIRED_API_KEY");
    let reused = world
        .post(&path, world.operator(), "second", &json!({ "mode": "live", "scopes": ["dashboard"] }))
        .await;
    assert_eq!(reused.failure(), "422 IDEMPOTENCY_KEY_REUSED");
}

/// Of many simultaneous copies of a request that creates a key, exactly one answer shows the key, and it is the key
/// that works.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_in_one_answer() {
    let world = std::sync::Arc::new(World::demo().await);
    let org = world.open(10).await;
    let path = format!("/admin/v1/organisations/{}/keys", org.id);
    let mut sendings = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (world, path) = (world.clone(), path.clone());
        sendings.spawn(async move {
            world.post(&path, world.operator(), "one", &json!({ "mode": "live" })).await.created()
        });
    }
    let issued = sendings.join_all().await;
    let shown: Vec<_> = issued.iter().filter_map(|issued| issued["key"].as_str()).collect();
    assert_eq!(shown.len(), 1, "{issued:?}");
    assert!(issued.iter().all(|one| one["keyId"] == issued[0]["keyId"]), "{issued:?}");
    assert_eq!(world.balance(shown[0]).await["available"], json!(10));
}

/// A key that is created without scopes can read and spend, and nothing else.
#[tokio::test]
async fn a_key_without_scopes_reads_and_spends() {
    let world = World::demo().await;
    let org = world.open(10).await;
    let path = format!("/admin/v1/organisations/{}/keys", org.id);
    let issued = world.post(&path, world.operator(), &unique(), &json!({ "mode": "live" })).await.created();
    assert_eq!(issued["scopes"], json!(["credits:read", "credits:consume"]));
    let key = issued["key"].as_str().unwrap();
    let charged = world.consume(key, "k1", &json!({ "operation": "aml.basic" })).await.created();
    assert_eq!(world.balance(key).await["available"], json!(9));
    let refund = json!({ "transactionId": charged["transactionId"], "reason": "technical_failure" });
    let purchase = json!({ "package": "starter", "paymentMethod": "card_1" });
    for (path, body) in [("/api/v3/credits/refund", refund), ("/api/v3/credits/purchase", purchase)] {
        let refused = world.post(path, key, &unique(), &body).await;
        assert_eq!(refused.failure(), "403 INSUFFICIENT_PERMISSIONS", "{path}");
    }
    for (path, body) in [
        ("/api/v3/subscription", json!({ "plan": "free" })),
        ("/api/v3/credits/alerts", json!({})),
        ("/api/v3/credits/auto-recharge", json!({ "enabled": false })),
    ] {
        let refused = world.put(path, key, &body).await;
        assert_eq!(refused.failure(), "403 INSUFFICIENT_PERMISSIONS", "{path}");
    }
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say() {
    let world = World::demo().await;
    let org = world.open(10).await;
    let path = format!("/admin/v1/organisations/{}/keys", org.id);
    let scoped = async |scopes: &[&str]| {
        let issued = world
            .post(&path, world.operator(), &unique(), &json!({ "mode": "live", "scopes": scopes }))
            .await;
        issued.created()["key"].as_str().unwrap().to_owned()
    };
    let (reader, spender) = (scoped(&["credits:read"]).await, scoped(&["credits:consume"]).await);
    let body = json!({ "operation": "aml.basic" });
    assert_eq!(world.consume(&reader, "k1", &body).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    assert_eq!(
        world.get("/api/v3/credits/balance", &spender).await.failure(),
        "403 INSUFFICIENT_PERMISSIONS"
    );
    assert_eq!(
        world.get("/api/v3/credits/transactions", &spender).await.failure(),
        "403 INSUFFICIENT_PERMISSIONS"
    );
    assert_eq!(world.consume(&spender, "k1", &body).await.status, 201);
    assert_eq!(world.balance(&reader).await["available"], json!(9));
    for scopes in [json!([]), json!(["credits:fly"]), json!("credits:read")] {
        let refused = world
            .post(&path, world.operator(), &unique(), &json!({ "mode": "live", "scopes": scopes }))
            .await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR");
    }
}

/// Each scope, whether it reads webhooks and deliveries, and whether it changes them.
#[tokio::test]
async fn webhook_scopes_include_reading() {
    let world = World::demo().await;
    let org = world.open(10).await;
    let keys = format!("/admin/v1/organisations/{}/keys", org.id);
    let made = json!({ "url": "https://hooks.example.com/" });
    let made = world.post("/api/v3/webhooks", &org.key, &unique(), &made).await.created();
    let path = format!("/api/v3/webhooks/{}", made["webhookId"].as_str().unwrap());
    for (scope, sees, sets) in [
        ("credits:read", 200, 403),
        ("settings:write", 200, 200),
        ("credits:consume", 403, 403),
        ("credits:purchase", 403, 403),
        ("credits:refund", 403, 403),
        ("team:write", 403, 403),
    ] {
        let body = json!({ "mode": "live", "scopes": [scope] });
        let issued = world.post(&keys, world.operator(), &unique(), &body).await.created();
        let key = issued["key"].as_str().unwrap();
        for path in ["/api/v3/webhooks", &path, &format!("{path}/deliveries")] {
            assert_eq!(world.get(path, key).await.status, sees, "{scope} {path}");
        }
        let delivery = format!("{path}/deliveries/del_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA");
        let expected = if sees == 200 { 404 } else { sees };
        assert_eq!(world.get(&delivery, key).await.status, expected, "{scope}");
        assert_eq!(world.patch(&path, key, &json!({})).await.status, sets, "{scope}");
    }
}

#[tokio::test]
async fn a_plan_without_api_access_takes_only_dashboard_keys() {
    let world = World::demo().await;
    let body = json!({ "name": "Small", "plan": "free", "allowance": 400 });
    let org = world.post("/admin/v1/organisations", world.operator(), "small", &body).await.created();
    assert_eq!(
        (&org["plan"], &org["allowance"], &org["currency"]),
        (&json!("free"), &json!(400), &json!("GBP"))
    );
    let path = format!("/admin/v1/organisations/{}/keys", org["organisationId"].as_str().unwrap());
    let issue = async |body| {
        world.post(&path, world.operator(), &unique(), &body).await.created()["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let plain = issue(json!({ "mode": "live" })).await;
    assert_eq!(world.get("/api/v3/credits/balance", &plain).await.failure(), "403 API_ACCESS_NOT_INCLUDED");
    let dashboard = issue(json!({ "mode": "live", "scopes": ["dashboard", "credits:read"] })).await;
    assert_eq!(world.balance(&dashboard).await["available"], json!(400));
}

#[tokio::test]
async fn no_key_sees_another_organisations_credits() {
    let world = World::demo().await;
    let (one, other) = (world.open(10).await, world.open(20).await);
    let body = json!({ "operation": "aml.basic", "resourceId": "secret" });
    let charged = world.consume(&one.key, "same-key", &body).await.created();
    let theirs = world.consume(&other.key, "same-key", &json!({ "operation": "aml.pep" })).await;
    assert_eq!(theirs.created()["balanceAfter"], json!(18));
    let path = format!("/api/v3/credits/transactions/{}", charged["transactionId"].as_str().unwrap());
    assert_eq!(world.get(&path, &one.key).await.status, 200);
    let foreign = world.get(&path, &other.key).await;
    let unknown = world.get("/api/v3/credits/transactions/txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", &other.key).await;
    let malformed = world.get("/api/v3/credits/transactions/txn_%00%F0%9F%A6%80", &other.key).await;
    assert_eq!(foreign.failure(), "404 NOT_FOUND");
    assert_eq!(foreign.body["error"], unknown.body["error"]);
    assert_eq!(foreign.body["error"], malformed.body["error"]);
    let page = world.get("/api/v3/credits/transactions?limit=1", &one.key).await;
    let cursor = page.body["meta"]["pagination"]["nextCursor"].as_str().unwrap().to_owned();
    let at = |query: &str| format!("/api/v3/credits/transactions?{query}&cursor={cursor}");
    assert_eq!(world.get(&at("limit=1"), &one.key).await.status, 200);
    assert_eq!(world.get(&at("limit=1"), &other.key).await.failure(), "400 INVALID_CURSOR");
    assert_eq!(world.get(&at("type=DEBIT"), &one.key).await.failure(), "400 INVALID_CURSOR");
    assert_eq!(
        world.get("/api/v3/credits/transactions?cursor=x", &one.key).await.failure(),
        "400 INVALID_CURSOR"
    );
}

#[tokio::test]
async fn a_test_key_sees_a_ledger_of_its_own() {
    let world = World::demo().await;
    let (live, test) = (world.key(), world.test_key());
    let charged = world.consume(test, "k1", &json!({ "operation": "aml.pep" })).await;
    assert_eq!(
        (charged.created()["balanceAfter"].clone(), &charged.body["meta"]["livemode"]),
        (json!(398), &json!(false))
    );
    let answer = world.get("/api/v3/credits/balance", live).await;
    assert_eq!((&answer.data()["available"], &answer.body["meta"]["livemode"]), (&json!(400), &json!(true)));
    let path = format!("/api/v3/credits/transactions/{}", charged.data()["transactionId"].as_str().unwrap());
    assert_eq!(world.get(&path, live).await.failure(), "404 NOT_FOUND");
    assert_eq!(world.consume(live, "k1", &json!({ "operation": "aml.basic" })).await.status, 201);
}

#[tokio::test]
async fn api_keys_and_operator_keys_are_separate() {
    let world = World::demo().await;
    let path = "/admin/v1/organisations";
    assert_eq!(
        world.post(path, world.key(), "k1", &json!({ "name": "X" })).await.failure(),
        "403 INSUFFICIENT_PERMISSIONS"
    );
    assert_eq!(world.post(path, "", "k1", &json!({ "name": "X" })).await.failure(), "401 MISSING_API_KEY");
    assert_eq!(
        world.get("/api/v3/credits/balance", world.operator()).await.failure(),
        "403 INSUFFICIENT_PERMISSIONS"
    );
    let unknown = "/admin/v1/organisations/org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA";
    for path in [format!("{unknown}/keys"), "/admin/v1/organisations/x/keys".into()] {
        assert_eq!(
            world.post(&path, world.operator(), "k1", &json!({ "mode": "live" })).await.failure(),
            "404 NOT_FOUND"
        );
    }
    let grant = json!({ "source": "bonus", "amount": 1 });
    assert_eq!(
        world.post(&format!("{unknown}/grants"), world.operator(), "k1", &grant).await.failure(),
        "404 NOT_FOUND"
    );
    assert_eq!(
        world.delete(&format!("{unknown}/keys/key_x"), world.operator()).await.failure(),
        "404 NOT_FOUND"
    );
    let org = world.open(5).await;
    world.consume(&org.key, "k7", &json!({ "operation": "aml.basic" })).await.created();
    let path = format!("/admin/v1/organisations/{}/grants", org.id);
    let granted = world.post(&path, world.operator(), "k7", &grant).await;
    assert_eq!(granted.created()["balance"]["available"], json!(5));
    assert!(granted.data()["superAdmin"].as_str().unwrap().starts_with("key_"));
    let replay = world.post(&path, world.operator(), "k7", &grant).await;
    assert_eq!((replay.created(), replay.header("idempotent-replayed")), (granted.data(), Some("true")));
}
