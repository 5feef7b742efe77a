//! Errors of invalid fields: what the field must be, in the same words at every path.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{World, send, unique};

const CONSUME: &str = "/api/v3/credits/consume";
const BATCH: &str = "/api/v3/credits/consume/batch";
const KEYS: &str = "/admin/v1/organisations/{org}/keys";
const FIELDS_OF_CONSUME: &str = "the fields are: operation, quantity, resourceId, customerId, memberId, service, metadata, settleBy, dedupe";

/// Checks that each body is refused at its path with one field and its hint.
async fn check(table: &[(Method, &str, &str, &str)]) {
    let world = World::demo().await;
    for (method, path, body, expected) in table {
        let path = path.replace("{org}", world.org());
        let key = if path.starts_with("/admin") { world.operator() } else { world.key() };
        let mut request = world.request(method.clone(), &path, key).header("Idempotency-Key", unique());
        if *method != Method::GET {
            request = request.header("Content-Type", "application/json").body((*body).to_owned());
        }
        let answer = send(request).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{path} {body}: {answer:?}");
        let reported: Vec<_> = answer.body["error"]["details"]["fields"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(field, problem)| format!("{field}: {}", problem.as_str().unwrap()))
            .collect();
        assert_eq!(reported, [*expected], "{path} {body}");
    }
}

/// A table row: path, body, and the error.
type FieldCase<'a> = (&'a str, &'a str, &'a str);

fn post<'a>(table: &[FieldCase<'a>]) -> Vec<(Method, &'a str, &'a str, &'a str)> {
    table.iter().map(|(path, body, expected)| (Method::POST, *path, *body, *expected)).collect()
}

fn put<'a>(table: &[FieldCase<'a>]) -> Vec<(Method, &'a str, &'a str, &'a str)> {
    table.iter().map(|(path, body, expected)| (Method::PUT, *path, *body, *expected)).collect()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn a_value_of_the_wrong_type_names_the_expected_type() {
    const HOLDS: &str = "/api/v3/credits/holds";
    check(&post(&[
        (CONSUME, r#"{"operation": 7}"#, "operation: must be text, not a number"),
        (CONSUME, r#"{"operation": null}"#, "operation: must be text, not null"),
        (CONSUME, r#"{"operation": {}}"#, "operation: must be text, not an object"),
        (
            CONSUME,
            r#"{"operation": "a", "quantity": "2"}"#,
            "quantity: must be a whole number from 1 to 1000000, not text",
        ),
        (
            CONSUME,
            r#"{"operation": "a", "quantity": true}"#,
            "quantity: must be a whole number from 1 to 1000000, not a boolean",
        ),
        (
            CONSUME,
            r#"{"operation": "a", "quantity": [1]}"#,
            "quantity: must be a whole number from 1 to 1000000, not a list",
        ),
        (
            CONSUME,
            r#"{"operation": "a", "quantity": -1}"#,
            "quantity: must be a whole number from 1 to 1000000",
        ),
        (
            CONSUME,
            r#"{"operation": "a", "quantity": 1000001}"#,
            "quantity: must be a whole number from 1 to 1000000",
        ),
        (
            CONSUME,
            r#"{"operation": "a", "quantity": 1e3}"#,
            "quantity: must be a whole number from 1 to 1000000, without decimal point or exponent",
        ),
        (CONSUME, r#"{"operation": "a", "quantity": 1e999}"#, "quantity: must be a number nearer to zero"),
        (CONSUME, r#"{"operation": "a", "metadata": []}"#, "metadata: must be a JSON object, not a list"),
        (CONSUME, r#"{"operation": "a", "metadata": {"a": 1}}"#, "metadata.a: must be text, not a number"),
        (
            CONSUME,
            r#"{"operation": "a", "dedupe": 7}"#,
            "dedupe: must be a JSON object, {\"windowSeconds\": 1 to 2592000}, not a number",
        ),
        (
            CONSUME,
            r#"{"operation": "a", "dedupe": []}"#,
            "dedupe: must be a JSON object, {\"windowSeconds\": 1 to 2592000}",
        ),
        (
            CONSUME,
            r#"{"operation": "a", "dedupe": {"windowSeconds": "x"}}"#,
            "dedupe.windowSeconds: must be a whole number from 0 on, not text",
        ),
        (
            HOLDS,
            r#"{"operation": "a", "expiresInSeconds": -1}"#,
            "expiresInSeconds: must be a whole number from 0 on",
        ),
        (
            HOLDS,
            r#"{"operation": "a", "expiresInSeconds": 5000000000}"#,
            "expiresInSeconds: must be a whole number from 0 to 4294967295",
        ),
        (BATCH, r#"{"items": {}}"#, "items: must be a list, not an object"),
        (BATCH, r#"{"items": ["a"]}"#, "items[0]: must be a JSON object, not text"),
        (BATCH, r#"{"items": [["a"]]}"#, "items[0]: must be a JSON object"),
        (
            BATCH,
            r#"{"items": [{"operation": "a"}, {"operation": "a", "quantity": 0}]}"#,
            "items[1].quantity: must be a whole number from 1 to 1000000",
        ),
    ]))
    .await;
}

#[tokio::test]
async fn settings_of_the_wrong_type_name_the_expected_type() {
    const RECHARGE: &str = "/api/v3/credits/auto-recharge";
    const RATE: &str = "/admin/v1/exchange-rates/GBP/EUR";
    check(&put(&[
        (RECHARGE, r#"{"enabled": "yes"}"#, "enabled: must be true or false, not text"),
        (
            RECHARGE,
            r#"{"threshold": "x"}"#,
            "threshold: must be a whole number from 0 to 9007199254740991, not text",
        ),
        (RECHARGE, r#"{"amount": 0}"#, "amount: must be a whole number from 1 to 1000000000000"),
        (
            "/api/v3/credits/alerts",
            r#"{"lowBalanceThresholds": [1, "x"]}"#,
            "lowBalanceThresholds[1]: must be a whole number from 0 to 9007199254740991, not text",
        ),
        (RATE, r#"{"rate": "x"}"#, "rate: must be a number"),
        (RATE, r#"{"rate": true}"#, "rate: must be a number, not a boolean"),
        (RATE, r#"{"rate": 1e300}"#, "rate: must be a smaller number"),
        (RATE, r#"{"rate": 0}"#, "rate: must be above 0, at most 1000000, with at most 6 decimals"),
        (
            "/admin/v1/packages/growth",
            r#"{"price": 7}"#,
            "price: must be a JSON object, {\"amount\": minor units, \"currency\": \"GBP\"}, not a number",
        ),
        ("/admin/v1/packages/growth", r#"{"price": {"amount": 1}}"#, "price.currency: is required"),
        (
            "/admin/v1/packages/growth",
            r#"{"price": {"amount": 1, "currency": "GBP", "tax": 1}}"#,
            "price.tax: is not a field of price; the fields are: amount, currency",
        ),
        (
            "/admin/v1/plans/basic",
            r#"{"maxUsers": "many"}"#,
            "maxUsers: must be a whole number, or \"unlimited\"",
        ),
        ("/api/v3/subscription", "{}", "plan: is required"),
        ("/api/v3/subscription?preview=yes", r#"{"plan": "basic"}"#, "preview: must be true or false"),
    ]))
    .await;
}

#[tokio::test]
async fn an_unknown_word_gets_the_known_ones() {
    const SERVICES: &str = "service: must be one of: smartcheck, smartaccess, smartenroll, api, biometric";
    check(&post(&[
        (CONSUME, r#"{"operation": "a", "service": "x"}"#, SERVICES),
        (CONSUME, r#"{"operation": "a", "service": 7}"#, SERVICES),
        (CONSUME, r#"{"operation": "a", "service": []}"#, SERVICES),
        (CONSUME, r#"{"operation": "a", "service": {}}"#, SERVICES),
        (
            CONSUME,
            r#"{"operation": "a", "service": {"api": 1}}"#,
            "service.api: must be sent as a word, without an object around it",
        ),
        (BATCH, r#"{"items": [{"operation": "a"}], "mode": "all"}"#, "mode: must be one of: atomic, partial"),
        (BATCH, r#"{"mode": true, "items": [{"operation": "a"}]}"#, "mode: must be one of: atomic, partial"),
        (KEYS, r#"{"mode": null}"#, "mode: must be one of: live, test"),
        (
            KEYS,
            r#"{"mode": "live", "scopes": ["credits:read", 7]}"#,
            "scopes[1]: must be one of: credits:read, credits:consume, credits:purchase, credits:refund, settings:write, team:write, dashboard",
        ),
    ]))
    .await;
}

#[tokio::test]
async fn a_missing_unknown_or_duplicate_field_is_named() {
    let unknown = |name: &str, meant: &str| {
        format!("{name}: is not a field of this request{meant}; {FIELDS_OF_CONSUME}")
    };
    let (quantitty, customer) = (
        unknown("quantitty", " (did you mean quantity?)"),
        unknown("customer_id", " (did you mean customerId?)"),
    );
    let (amount, quoted) = (unknown("amount", ""), unknown("x`, expected `y", ""));
    let nested = format!("items[0].amount: is not a field of items[0]; {FIELDS_OF_CONSUME}");
    check(&post(&[
        (CONSUME, "{}", "operation: is required"),
        (CONSUME, r#"{"operation": "a", "dedupe": {}}"#, "dedupe.windowSeconds: is required"),
        (BATCH, r#"{"items": [{"operation": "a"}, {}]}"#, "items[1].operation: is required"),
        (CONSUME, r#"{"operation": "a", "operation": "b"}"#, "operation: must be sent once"),
        (CONSUME, r#"{"operation": "a", "quantitty": 1}"#, &quantitty),
        (CONSUME, r#"{"operation": "a", "customer_id": 1}"#, &customer),
        (CONSUME, r#"{"operation": "a", "amount": 1}"#, &amount),
        (CONSUME, r#"{"operation": "a", "x`, expected `y": 1}"#, &quoted),
        (BATCH, r#"{"items": [{"operation": "a", "amount": 1}]}"#, &nested),
        (
            "/api/v3/credits/holds/hold_1/release",
            r#"{"amount": 1}"#,
            "amount: is not a field of this request, which has none",
        ),
    ]))
    .await;
}

#[tokio::test]
async fn an_invalid_query_names_the_expected_value() {
    const LIST: &str = "/api/v3/credits/transactions?";
    const PARAMETERS: &str = "the parameters are: limit, cursor, type, category, operation, customerId, memberId, \
        service, status, keyId, resourceId, from, to";
    let mistyped = format!("limt: is not a parameter of this request (did you mean limit?); {PARAMETERS}");
    let table: Vec<_> = [
        ("limit=x", "limit: must be a whole number, in digits alone"),
        ("limit=-1", "limit: must be a whole number, in digits alone"),
        ("limit=1.5", "limit: must be a whole number, in digits alone"),
        ("limit=", "limit: must be a whole number, in digits alone"),
        ("limit=0", "limit: must be a whole number from 1 to 100"),
        ("limit=99999999999999999999", "limit: must be a smaller number"),
        ("limit=1&limit=2", "limit: must be sent once"),
        ("limt=2", &mistyped),
        ("type=debit", "type: must be one of: DEBIT, CREDIT"),
        ("category=", "category: must be one of: purchase, usage"),
    ]
    .into_iter()
    .map(|(query, expected)| (Method::GET, format!("{LIST}{query}"), expected))
    .collect();
    let table: Vec<_> =
        table.iter().map(|(method, path, reported)| (method.clone(), path.as_str(), "", *reported)).collect();
    check(&table).await;
    check(&[(
        Method::GET,
        "/api/v3/credits/alerts?x=1",
        "",
        "x: is not a parameter of this request, which has none",
    )])
    .await;
}

#[tokio::test]
async fn invalid_json_is_reported_with_its_place() {
    const ENDS: &str = "body: the body is not JSON: it ends inside an object at line 1, column 16";
    check(&post(&[
        (CONSUME, "", "body: must be a JSON object, and is empty"),
        (CONSUME, " \n", "body: must be a JSON object, and is empty"),
        (CONSUME, "[]", "body: must be a JSON object"),
        (CONSUME, "operation=a", "body: must be a JSON object"),
        (CONSUME, r#"{"operation":"a""#, ENDS),
        (
            CONSUME,
            "{\"operation\":\n\"a\" 7}",
            "body: the body is not JSON: expected `,` or `}` at line 2, column 5",
        ),
        (
            CONSUME,
            r#"{"operation":"a"} x"#,
            "body: the body is not JSON: something follows its end at line 1, column 19",
        ),
        (
            CONSUME,
            r#"{"operation":"a",}"#,
            "body: the body is not JSON: nothing follows a comma at line 1, column 18",
        ),
        (
            CONSUME,
            "{operation: 1}",
            "body: the body is not JSON: expected a name in double quotes at line 1, column 2",
        ),
        (
            CONSUME,
            r#"{"operation":"a","quantity":NaN}"#,
            "quantity: the body is not JSON: expected a value at line 1, column 29",
        ),
        (
            CONSUME,
            r#"{"operation":"a","quantity":01}"#,
            "quantity: the body is not JSON: a number is not written as in JSON at line 1, column 30",
        ),
        (
            CONSUME,
            r#"{"operation":"a","service":7"#,
            "service: the body is not JSON: it ends inside an object at line 1, column 28",
        ),
    ]))
    .await;
}

/// The value that was sent may be a secret in the wrong field.
#[tokio::test]
async fn errors_never_repeat_sent_values() {
    let world = World::demo().await;
    let secret = "sk_live_secret".repeat(50);
    for (field, value) in [
        ("quantity", json!(secret)),
        ("service", json!(secret)),
        ("dedupe", json!(secret)),
        ("metadata", json!(secret)),
        ("settleBy", json!(secret)),
        ("resourceId", json!(secret)),
        ("service", json!({ secret.clone(): 1 })),
    ] {
        let mut body = json!({ "operation": "aml.basic" });
        body[field] = value;
        let answer = world.consume(world.key(), &unique(), &body).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{field}");
        assert!(!answer.body.to_string().contains("secret"), "{field}: {}", answer.body);
    }
    let body = json!({ "operation": "aml.basic", secret.clone(): 1 });
    let answer = world.consume(world.key(), &unique(), &body).await;
    let fields: Vec<_> = answer.body["error"]["details"]["fields"].as_object().unwrap().iter().collect();
    let [(name, Value::String(reported))] = fields.as_slice() else { panic!("{}", answer.body) };
    assert_eq!(name.chars().count(), 121);
    assert!(!reported.contains("secret"), "{reported}");
}
