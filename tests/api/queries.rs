//! URLs and headers are validated as strictly as bodies, on every documented route.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiAnswer, World, send, unique};

/// Every route of the document: method, path and query parameters.
async fn routes(world: &World) -> Vec<(Method, String, Vec<String>)> {
    let document = world.get("/openapi.json", "").await.body;
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let listed = operation["parameters"].as_array().cloned().unwrap_or_default();
            let listed = listed.iter().filter(|parameter| parameter["in"] == json!("query"));
            let listed = listed.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
            let path = path.replace(['{', '}'], "");
            routes.push((method.to_uppercase().parse().unwrap(), path, listed));
        }
    }
    assert!(routes.len() > 45, "{}", routes.len());
    routes
}

fn key_for<'a>(world: &'a World, path: &str) -> &'a str {
    if path.starts_with("/admin/") { world.operator() } else { world.key() }
}

/// `details.fields` of an answer.
fn fields(answer: &ApiAnswer) -> Value {
    answer.body["error"]["details"]["fields"].clone()
}

/// Checks that a request is refused as invalid, in the shape of its path.
#[track_caller]
fn assert_invalid(answer: &ApiAnswer, path: &str, case: &str) {
    let code = if path.starts_with("/v2/") { "INVALID_PARAMETERS" } else { "VALIDATION_ERROR" };
    assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!(code)), "{case} {answer:?}");
}

#[tokio::test]
async fn every_route_refuses_a_parameter_that_it_does_not_take() {
    let world = World::demo().await;
    for (method, path, known) in routes(&world).await {
        let reported = format!("{method} {path}");
        for key in ["", key_for(&world, &path)] {
            let url = format!("{path}?unknownParameter=1");
            let request = world.request(method.clone(), &url, key).header("Idempotency-Key", unique());
            let request = if method == Method::GET { request } else { request.json(&json!({})) };
            let answer = send(request).await;
            assert_invalid(&answer, &path, &reported);
            let problem = fields(&answer)["unknownParameter"].as_str().unwrap().to_owned();
            assert!(problem.starts_with("is not a parameter of this request"), "{reported}: {problem}");
            assert!(known.iter().all(|name| problem.contains(name)), "{reported}: {problem}");
        }
        for name in known {
            let answer = send(world.request(method.clone(), &format!("{path}?{name}=1"), "")).await;
            let problem = fields(&answer)[&name].as_str().unwrap_or_default().to_owned();
            assert!(!problem.starts_with("is not a parameter"), "{reported} {name}: {problem}");
        }
    }
}

#[tokio::test]
async fn a_misplaced_preview_charges_nothing() {
    let world = World::demo().await;
    let before = world.transactions(world.key(), "").await;
    for (path, body) in [
        ("/api/v3/credits/consume", json!({ "operation": "aml.basic" })),
        ("/api/v3/credits/consume/batch", json!({ "items": [{ "operation": "aml.basic" }] })),
        ("/api/v3/credits/holds", json!({ "operation": "aml.basic" })),
        ("/api/v3/credits/purchase", json!({ "package": "starter", "paymentMethod": "card_xyz123" })),
    ] {
        let answer = world.post(&format!("{path}?preview=true"), world.key(), "k1", &body).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{path}");
        assert_eq!(
            fields(&answer),
            json!({ "preview": "is not a parameter of this request, which has none" }),
            "{path}"
        );
    }
    assert_eq!(world.transactions(world.key(), "").await, before);
    world.consume(world.key(), "k1", &json!({ "operation": "aml.basic" })).await.created();
}

#[tokio::test]
async fn a_mistyped_parameter_gets_a_suggestion() {
    let world = World::demo().await;
    let answer = world.get("/api/v3/credits/transactions?limt=5", world.key()).await;
    assert_eq!(
        fields(&answer)["limt"],
        json!(
            "is not a parameter of this request (did you mean limit?); the parameters are: limit, cursor, type, category, \
             operation, customerId, memberId, service, status, keyId, resourceId, from, to"
        )
    );
    let answer = world.get("/api/v3/credits/transactions?limit=5&limit=6", world.key()).await;
    assert_eq!(fields(&answer)["limit"], json!("must be sent once"));
}

/// A path or query with an invalid encoding is refused.
#[tokio::test]
async fn an_invalid_encoding_is_refused_at_every_route() {
    let world = World::demo().await;
    for (method, path, known) in routes(&world).await {
        let name = known.first().map_or("a", String::as_str);
        for broken in ["%ZZ", "%", "%4", "%FF", "%C3%28"] {
            let answer = send(world.request(method.clone(), &format!("{path}?{name}={broken}"), "")).await;
            assert_invalid(&answer, &path, &format!("{method} {path} {broken}"));
            assert!(fields(&answer)["query"].is_string(), "{method} {path} {broken}: {answer:?}");
        }
    }
    for broken in ["%ZZ", "%FF", "txn_%", "txn_%C3"] {
        let path = format!("/api/v3/credits/transactions/{broken}");
        let answer = world.get(&path, world.key()).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{path}");
        assert!(fields(&answer)["path"].is_string(), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_range_that_ends_before_it_begins_is_refused() {
    let world = World::demo().await;
    let (early, late) = ("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z");
    for (path, from, to) in [
        ("/api/v3/credits/transactions", late, early),
        ("/api/v3/credits/transactions", "2024-01-01T00:00:01Z", early),
        ("/api/v3/credits/audit", late, early),
        ("/api/v3/credits/audit", "3", "2"),
    ] {
        let answer = world.get(&format!("{path}?from={from}&to={to}"), world.key()).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{path}");
        assert_eq!(fields(&answer), json!({ "from": "must not be after to" }), "{path}");
    }
    for (path, from, to) in [
        ("/api/v3/credits/transactions", early, early),
        ("/api/v3/credits/audit", "2", "2"),
        ("/api/v3/credits/audit", "1", late),
    ] {
        world.get(&format!("{path}?from={from}&to={to}"), world.key()).await.data();
    }
}

/// Bodies are not decompressed, so compressed ones are refused.
#[tokio::test]
async fn an_encoded_body_is_refused_at_every_route() {
    let world = World::demo().await;
    let routes = routes(&world).await;
    let with_body = [Method::POST, Method::PUT, Method::PATCH];
    for (method, path, _) in routes.iter().filter(|(method, ..)| with_body.contains(method)) {
        for encoding in ["gzip", "br", "deflate", "gzip, identity"] {
            let request = world.request(method.clone(), path, key_for(&world, path));
            let request = request.header("Idempotency-Key", unique()).header("Content-Encoding", encoding);
            let answer = send(request.header("Content-Type", "application/json").body("\u{1f}\u{8b}")).await;
            assert_eq!(answer.failure(), "415 UNSUPPORTED_MEDIA_TYPE", "{method} {path} {encoding}");
            let message = answer.body["error"]["message"].as_str().unwrap();
            assert!(message.contains("Content-Encoding"), "{message}");
        }
    }
    let request = world.request(Method::POST, "/api/v3/credits/consume", world.key());
    let request = request.header("Idempotency-Key", "plain").header("Content-Encoding", "identity");
    send(request.json(&json!({ "operation": "aml.basic" }))).await.created();
}

/// Numbers beyond JSON's exact integers are no positions in the feed.
#[tokio::test]
async fn the_feed_accepts_exact_integers_only() {
    let world = World::demo().await;
    let answer = world.get("/api/v3/events?after=9007199254740992", world.key()).await;
    assert_eq!(answer.failure(), "400 VALIDATION_ERROR");
    assert!(fields(&answer)["after"].is_string());
    let last = world.get("/api/v3/events?after=9007199254740991", world.key()).await;
    assert_eq!(last.data(), json!([]));
}

/// A page of the feed that is full and the last says so.
#[tokio::test]
async fn a_full_page_of_the_feed_can_be_the_last() {
    let world = World::demo().await;
    let all = world.get("/api/v3/events?limit=100", world.key()).await;
    let count = all.data().as_array().unwrap().len();
    assert!(count > 1, "{all:?}");
    for (limit, is_followed) in [(count - 1, true), (count, false), (count + 1, false)] {
        let page = world.get(&format!("/api/v3/events?limit={limit}"), world.key()).await;
        assert_eq!(page.body["meta"]["pagination"]["hasMore"], json!(is_followed), "{limit} of {count}");
    }
}
