//! Requests as API Gateway hands them to a function.

use domain::{ApiKey, ApiKeySecret, KeyId, Mode, Scope};
use lambda_http::{Context, LambdaEvent, Service};
use scrip_http::lambda_service;
use serde_json::{Value, json};
use tests::TestProcess;

/// API Gateway's event for a request to the function `webhooks`.
fn event(query: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "GET /api/v3/webhooks",
        "rawPath": "/api/v3/webhooks",
        "rawQueryString": query,
        "headers": { "host": "abc123.execute-api.us-east-1.amazonaws.com", "x-forwarded-proto": "https" },
        "requestContext": {
            "apiId": "abc123",
            "stage": "$default",
            "http": { "method": "GET", "path": "/api/v3/webhooks", "protocol": "HTTP/1.1" },
        },
        "isBase64Encoded": false,
    })
}

/// What the function returns, and its body.
async fn answer(process: &TestProcess, event: Value) -> (Value, Value) {
    let payload = serde_json::from_value(event).unwrap();
    let mut function = lambda_service(webhooks::routes(), process.start());
    let answer = function.call(LambdaEvent::new(payload, Context::default())).await.unwrap();
    let answer = serde_json::to_value(answer).unwrap();
    let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    (answer, body)
}

/// The address is the one that has connected to API Gateway; a header does not change it.
#[tokio::test]
async fn a_key_works_from_its_addresses_behind_api_gateway() {
    let process = TestProcess::open("2024-01-15T10:30:00Z".parse().unwrap()).await;
    let (account, _) = process.customer(10).await;
    let secret = ApiKeySecret::for_organisation(Mode::Live, [7; 34]);
    let id = KeyId::new(process.now(), 7);
    let key = ApiKey::new(id, Some(account.org), Scope::ALL.into(), &secret, process.now());
    let key = ApiKey { allowed_ips: vec!["203.0.113.0/24".to_owned()].try_into().unwrap(), ..key };
    process.fixture.settings().add_key(&secret, &key).await.unwrap();
    for (address, status) in [
        (json!("203.0.113.7"), 200),
        (json!("203.0.114.7"), 403),
        (json!("2001:db8::1"), 403),
        (json!("elsewhere"), 403),
        (Value::Null, 403),
    ] {
        let mut event = event("");
        event["headers"]["authorization"] = json!(format!("Bearer {}", secret.reveal()));
        event["headers"]["x-forwarded-for"] = json!("203.0.113.7");
        event["requestContext"]["http"]["sourceIp"] = address.clone();
        let (answer, body) = answer(&process, event).await;
        assert_eq!(answer["statusCode"], json!(status), "{address}: {body}");
    }
}

/// query string => status, the invalid field
#[tokio::test]
async fn a_query_that_no_url_can_have_is_a_400() {
    let process = TestProcess::open("2024-01-15T10:30:00Z".parse().unwrap()).await;
    for (query, status, field) in [
        ("", 401, None),
        ("limit=%3C%22%20", 400, Some("limit")),
        ("limit=<", 400, Some("query")),
        ("limit=5&a=\"b\"", 400, Some("query")),
        ("limit=5 6", 400, Some("query")),
        (" ", 400, Some("query")),
        ("limit=\u{1}", 400, Some("query")),
    ] {
        let (answer, body) = answer(&process, event(query)).await;
        assert_eq!(answer["statusCode"], json!(status), "`{query}`: {answer}");
        assert_eq!(answer["headers"]["content-type"], json!("application/json"), "`{query}`: {answer}");
        assert_eq!(answer["headers"]["x-request-id"], body["meta"]["requestId"], "`{query}`: {answer}");
        let code = if status == 400 { "VALIDATION_ERROR" } else { "MISSING_API_KEY" };
        assert_eq!(body["error"]["code"], json!(code), "`{query}`: {body}");
        let fields = body["error"]["details"]["fields"].as_object();
        let fields = fields.map(|fields| fields.keys().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(fields, field.map(|field| vec![field]), "`{query}`: {body}");
    }
}
