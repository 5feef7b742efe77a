//! Invalid input gets a clear error and changes nothing.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{World, send, unique};

/// Bodies of consume, each with the field that `details.fields` names.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn an_invalid_debit_names_the_field_and_takes_nothing() {
    let world = World::demo().await;
    let before = world.balance(world.key()).await;
    let with = |field: &str, value: Value| {
        let mut body = json!({ "operation": "aml.basic" });
        body[field] = value;
        body
    };
    for (body, field) in [
        (with("quantity", json!(0)), "quantity"),
        (with("quantity", json!(-1)), "quantity"),
        (with("quantity", json!(1.5)), "quantity"),
        (with("quantity", json!(1e3)), "quantity"),
        (with("quantity", json!("2")), "quantity"),
        (with("quantity", json!(1_000_001)), "quantity"),
        (with("quantity", json!(u64::MAX)), "quantity"),
        (with("quantity", json!(true)), "quantity"),
        (with("quantity", json!([1])), "quantity"),
        (with("quantity", json!({ "value": 1 })), "quantity"),
        (with("amount", json!(1)), "amount"),
        (with("quantitty", json!(1)), "quantitty"),
        (with("operation", json!(7)), "operation"),
        (with("operation", json!("")), "operation"),
        (with("operation", json!("aml.basic\u{0}")), "operation"),
        (with("operation", json!("x".repeat(256))), "operation"),
        (with("resourceId", json!("a\u{0}b")), "resourceId"),
        (with("resourceId", json!("a\nb")), "resourceId"),
        (with("resourceId", json!("")), "resourceId"),
        (with("resourceId", json!("\u{1f980}".repeat(256))), "resourceId"),
        (with("customerId", json!("\u{7f}")), "customerId"),
        (with("memberId", json!(12)), "memberId"),
        (with("service", json!("smartfly")), "service"),
        (with("service", json!("")), "service"),
        (with("metadata", json!([])), "metadata"),
        (with("metadata", json!({ "a": 1 })), "metadata.a"),
        (with("metadata", json!({ "a": null })), "metadata.a"),
        (with("metadata", json!({ "a": "\u{0}" })), "metadata.a"),
        (with("metadata", json!({ "": "x" })), "metadata."),
        (
            with("metadata", json!({ "k".repeat(41): "x" })),
            "metadata.kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
        ),
        (with("metadata", json!({ "a": "x".repeat(501) })), "metadata.a"),
        (
            with(
                "metadata",
                (0..21).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>().into(),
            ),
            "metadata",
        ),
        (
            with(
                "metadata",
                (0..5)
                    .map(|n| (n.to_string(), json!("x".repeat(500))))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
            ),
            "metadata",
        ),
        (json!({}), "operation"),
        (json!([]), "body"),
        (json!(["aml.basic", 1, null, null, null, null, null]), "body"),
        (json!("aml.basic"), "body"),
        (json!(null), "body"),
    ] {
        let answer = world.consume(world.key(), &unique(), &body).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{body}");
        assert!(answer.body["error"]["details"]["fields"][field].is_string(), "{body}: {}", answer.body);
    }
    for operation in
        ["verification.nope", "VERIFICATION.STANDARD", "aml.basic ", "credit.purchase", "\u{1f980}"]
    {
        let answer = world.consume(world.key(), &unique(), &json!({ "operation": operation })).await;
        assert_eq!(answer.failure(), "400 UNKNOWN_OPERATION", "{operation}");
    }
    let after = world.balance(world.key()).await;
    assert_eq!(
        (&after["available"], &after["asOf"]["sequence"]),
        (&before["available"], &before["asOf"]["sequence"])
    );
}

/// Values outside JSON, and bodies that are not JSON.
#[tokio::test]
async fn a_malformed_body_is_refused_before_anything_else() {
    let world = World::demo().await;
    let megabyte = format!(r#"{{"operation":"aml.basic","resourceId":"{}"}}"#, "x".repeat(1 << 20));
    let deep =
        format!(r#"{{"operation":"aml.basic","metadata":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let json = "application/json";
    for (kind, body, expected) in [
        (json, r#"{"operation": "aml.basic""#, "400 VALIDATION_ERROR"),
        (json, r#"{"operation": "aml.basic"} {}"#, "400 VALIDATION_ERROR"),
        (json, r#"{"operation": "aml.basic", "operation": "aml.pep"}"#, "400 VALIDATION_ERROR"),
        (json, r#"{"operation": "aml.basic", "quantity": 1, "quantity": 2}"#, "400 VALIDATION_ERROR"),
        (json, r#"{"operation": "aml.basic", "quantity": 01}"#, "400 VALIDATION_ERROR"),
        (json, r#"{"operation": "aml.basic", "quantity": NaN}"#, "400 VALIDATION_ERROR"),
        (json, r#"{"operation": "aml.basic", "quantity": 1e999}"#, "400 VALIDATION_ERROR"),
        (
            json,
            r#"{"operation": "aml.basic", "quantity": 99999999999999999999999999999999999999}"#,
            "400 VALIDATION_ERROR",
        ),
        (json, r#"{"operation": "aml.basic", "quantity": 9007199254740993}"#, "400 VALIDATION_ERROR"),
        (json, r#"{"operation": "\ud800"}"#, "400 VALIDATION_ERROR"),
        (json, "operation=aml.basic", "400 VALIDATION_ERROR"),
        (json, "", "400 VALIDATION_ERROR"),
        (json, "\u{feff}{}", "400 VALIDATION_ERROR"),
        (json, deep.as_str(), "400 VALIDATION_ERROR"),
        (json, megabyte.as_str(), "413 PAYLOAD_TOO_LARGE"),
        ("text/plain", r#"{"operation": "aml.basic"}"#, "415 UNSUPPORTED_MEDIA_TYPE"),
        ("application/x-www-form-urlencoded", "operation=aml.basic", "415 UNSUPPORTED_MEDIA_TYPE"),
        ("", r#"{"operation": "aml.basic"}"#, "415 UNSUPPORTED_MEDIA_TYPE"),
    ] {
        let mut request = world.request(Method::POST, "/api/v3/credits/consume", world.key());
        request = request.header("Idempotency-Key", unique()).body(body.to_owned());
        if !kind.is_empty() {
            request = request.header("Content-Type", kind);
        }
        assert_eq!(send(request).await.failure(), expected, "{kind} {}", &body[..body.len().min(60)]);
    }
    let not_utf8 =
        world.request(Method::POST, "/api/v3/credits/consume", world.key()).header("Idempotency-Key", "k");
    let not_utf8 = not_utf8.header("Content-Type", json).body(vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}']);
    assert_eq!(send(not_utf8).await.failure(), "400 VALIDATION_ERROR");
    let charset =
        world.request(Method::POST, "/api/v3/credits/consume", world.key()).header("Idempotency-Key", "k2");
    let charset = charset
        .header("Content-Type", "Application/JSON; charset=utf-8")
        .body(r#"{"operation":"aml.basic"}"#);
    assert_eq!(send(charset).await.status, 201);
    assert_eq!(world.balance(world.key()).await["available"], json!(399));
}

#[tokio::test]
async fn an_idempotency_key_is_one_visible_word() {
    let world = World::demo().await;
    let asked = |keys: Vec<Vec<u8>>| {
        let request = world.request(Method::POST, "/api/v3/credits/consume", world.key());
        keys.into_iter().fold(request.json(&json!({ "operation": "aml.basic" })), |request, key| {
            request.header("Idempotency-Key", key)
        })
    };
    for (keys, expected) in [
        (vec![], "400 IDEMPOTENCY_KEY_REQUIRED"),
        (vec![b"".to_vec()], "400 VALIDATION_ERROR"),
        (vec![vec![b'k'; 256]], "400 VALIDATION_ERROR"),
        (vec![b"two words".to_vec()], "400 VALIDATION_ERROR"),
        (vec!["caf\u{e9}".into()], "400 VALIDATION_ERROR"),
        (vec![b"a\tb".to_vec()], "400 VALIDATION_ERROR"),
        (vec![b"one".to_vec(), b"two".to_vec()], "400 VALIDATION_ERROR"),
    ] {
        assert_eq!(send(asked(keys.clone())).await.failure(), expected, "{keys:?}");
    }
    assert_eq!(send(asked(vec![vec![b'k'; 255]])).await.status, 201);
    assert_eq!(send(asked(vec![b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".to_vec()])).await.status, 201);
    assert_eq!(world.balance(world.key()).await["available"], json!(398));
}

/// Unicode is stored as it was sent.
#[tokio::test]
async fn names_and_notes_are_returned_unchanged() {
    let world = World::demo().await;
    let body = json!({ "operation": "aml.basic", "resourceId": "\u{65e5}\u{672c} \u{1f980} <script>", "customerId": "e\u{301}",
        "memberId": "\u{202e}x'\"", "metadata": { "\u{1f511}": "\u{1f980}\u{200d}" , "__proto__": "x" } });
    let charged = world.consume(world.key(), "k1", &body).await.created();
    let path = format!("/api/v3/credits/transactions/{}", charged["transactionId"].as_str().unwrap());
    let read = world.get(&path, world.key()).await.data();
    for field in ["resourceId", "customerId", "memberId", "metadata"] {
        assert_eq!(read[field], body[field], "{field}");
    }
}

#[tokio::test]
async fn an_invalid_grant_is_refused() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let path = format!("/admin/v1/organisations/{}/grants", world.org());
    for (body, expected) in [
        (json!({ "source": "bonus", "amount": 0 }), "400 VALIDATION_ERROR"),
        (json!({ "source": "bonus", "amount": -5 }), "400 VALIDATION_ERROR"),
        (json!({ "source": "bonus", "amount": 1.5 }), "400 VALIDATION_ERROR"),
        (json!({ "source": "bonus", "amount": "5" }), "400 VALIDATION_ERROR"),
        (json!({ "source": "bonus", "amount": 1_000_000_000_001_u64 }), "400 VALIDATION_ERROR"),
        (json!({ "source": "gift", "amount": 5 }), "400 VALIDATION_ERROR"),
        (json!({ "amount": 5 }), "400 VALIDATION_ERROR"),
        (json!({ "source": "bonus", "amount": 5, "expiresAt": "tomorrow" }), "400 VALIDATION_ERROR"),
        (
            json!({ "source": "bonus", "amount": 5, "expiresAt": "2024-01-15T10:30:00Z" }),
            "400 VALIDATION_ERROR",
        ),
        (
            json!({ "source": "purchased", "amount": 5, "expiresAt": "2024-02-01T00:00:00Z" }),
            "400 VALIDATION_ERROR",
        ),
        (json!({ "source": "bonus", "amount": 5, "service": "x" }), "400 VALIDATION_ERROR"),
        (
            json!({ "source": "bonus", "amount": 5, "expiresAt": "+12024-01-01T00:00:00Z" }),
            "400 VALIDATION_ERROR",
        ),
        (json!({ "source": "bonus", "amount": 5, "to": "org_2" }), "400 VALIDATION_ERROR"),
    ] {
        assert_eq!(world.post(&path, world.operator(), &unique(), &body).await.failure(), expected, "{body}");
    }
    assert_eq!(world.balance(world.key()).await["available"], json!(400));
    let scoped = json!({ "source": "purchased", "amount": 5, "service": "biometric", "expiresAt": "2024-02-12T23:59:59Z" });
    let granted = world.post(&path, world.operator(), &unique(), &scoped).await.created();
    assert_eq!((&granted["service"], &granted["balance"]["available"]), (&json!("biometric"), &json!(405)));
    let most = json!({ "source": "bonus", "amount": 1_000_000_000_000_u64 });
    let granted = world.post(&path, world.operator(), &unique(), &most).await.created();
    assert_eq!(granted["balance"]["bonusCredits"], json!(1_000_000_000_050_u64));
}

#[tokio::test]
async fn an_invalid_organisation_is_refused() {
    let world = World::demo().await;
    for body in [
        json!({}),
        json!({ "name": "" }),
        json!({ "name": "a\u{0}" }),
        json!({ "name": "X", "plan": "gold" }),
        json!({ "name": "X", "allowance": -1 }),
        json!({ "name": "X", "allowance": 1_000_000_000_001_u64 }),
        json!({ "name": "X", "currency": "pounds" }),
        json!({ "name": "X", "plans": "free" }),
    ] {
        let answer = world.post("/admin/v1/organisations", world.operator(), &unique(), &body).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{body}");
    }
    let body = json!({ "name": "X", "plan": "enterprise" });
    let one = world.post("/admin/v1/organisations", world.operator(), "x", &body).await;
    let again = world.post("/admin/v1/organisations", world.operator(), "x", &body).await;
    assert_eq!((again.created(), again.header("idempotent-replayed")), (one.created(), Some("true")));
    assert_eq!(one.data()["allowance"], Value::Null);
}

#[tokio::test]
async fn an_unknown_route_is_a_404() {
    let world = World::demo().await;
    let answer = async |method: Method, path: &str| send(world.request(method, path, world.key())).await;
    assert_eq!(answer(Method::GET, "/api/v3/credits/nope").await.failure(), "404 NOT_FOUND");
    assert_eq!(answer(Method::GET, "/").await.failure(), "404 NOT_FOUND");
    assert_eq!(
        answer(Method::GET, "/api/v3/credits/transactions/%FF").await.failure(),
        "400 VALIDATION_ERROR"
    );
    for (method, path) in [
        (Method::GET, "/api/v3/credits/consume"),
        (Method::POST, "/api/v3/credits/balance"),
        (Method::OPTIONS, "/api/v3/credits/balance"),
        (Method::TRACE, "/api/v3/credits/balance"),
    ] {
        let answer = answer(method, path).await;
        assert_eq!(answer.failure(), "405 METHOD_NOT_ALLOWED");
        assert!(answer.header("allow").is_some());
    }
    for query in [
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=-1",
        "limit=",
        "type=debit",
        "category=x",
        "from=yesterday",
        "page=2",
        "limit=1&limit=2",
    ] {
        let answer = world.get(&format!("/api/v3/credits/transactions?{query}"), world.key()).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{query}");
        let field = query.split('=').next().unwrap();
        assert!(answer.body["error"]["details"]["fields"][field].is_string(), "{query}: {}", answer.body);
    }
    assert_eq!(
        world.get("/api/v3/credits/balance?at=2024-01-01T00:00:00Z", world.key()).await.failure(),
        "400 VALIDATION_ERROR"
    );
    assert_eq!(world.get("/health", "").await.data(), json!({ "status": "ok" }));
}
