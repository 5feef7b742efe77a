//! Requests as API Gateway hands them to a function.

use lambda_http::{Context, LambdaEvent, Service};
use scrip_http::lambda_service;
use serde_json::{Value, json};
use tests::TestProcess;

/// API Gateway's event for a request with this query string, and what the function `webhooks` returns to it.
async fn answer(process: &TestProcess, query: &str) -> (Value, Value) {
    let event = json!({
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
    });
    let payload = serde_json::from_value(event).unwrap();
    let mut function = lambda_service(webhooks::routes(), process.start());
    let answer = function.call(LambdaEvent::new(payload, Context::default())).await.unwrap();
    let answer = serde_json::to_value(answer).unwrap();
    let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    (answer, body)
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
        let (answer, body) = answer(&process, query).await;
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
