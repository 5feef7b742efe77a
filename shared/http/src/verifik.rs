//! Verifik's own paths, `/v2/…`: how callers authenticate there, and the shape of answers and errors.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer_body::{refusal, set};
use super::error::ApiErrorBody;
use super::{NumberedPage, Reply, RequestContext};

/// The scheme of Verifik's clients in `Authorization`, besides `Bearer`.
pub(super) const SCHEME: &str = "jwt";

/// An answer of these paths.
#[derive(Serialize)]
struct VerifikAnswer<'a> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination: Option<NumberedPage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<VerifikError<'a>>,
}

#[derive(Serialize)]
struct VerifikError<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Value::is_null")]
    details: &'a Value,
}

/// The schemas of these paths in the OpenAPI document.
pub(super) fn schemas() -> [(&'static str, Value); 2] {
    let whole = json!({ "type": "integer", "minimum": 0 });
    [
        (
            "PageNumbers",
            json!({
                "type": "object",
                "required": ["page", "perPage", "total", "pages"],
                "properties": { "page": whole, "perPage": whole, "total": whole, "pages": whole },
            }),
        ),
        (
            "VerifikError",
            json!({
                "type": "object",
                "required": ["success", "error"],
                "properties": {
                    "success": { "const": false },
                    "error": {
                        "type": "object",
                        "required": ["code", "message"],
                        "properties": {
                            "code": { "type": "string" },
                            "message": { "type": "string" },
                            "details": { "type": "object" },
                        },
                    },
                },
            }),
        ),
    ]
}

/// Whether a path is one of Verifik's.
pub(super) fn is_below(path: &str) -> bool {
    path.starts_with("/v2/")
}

/// Writes an answer; `is_route` if the path has a route.
pub(super) fn write(call: &RequestContext, mut response: Response, is_route: bool) -> Response {
    if let Some(reply) = response.extensions_mut().remove::<Reply>() {
        let answer =
            VerifikAnswer { success: true, data: Some(&reply.data), pagination: reply.numbered, error: None };
        set(&mut response, call, &answer);
    } else if let Some((error, body)) = refusal(&mut response).as_deref() {
        if body.status.is_server_error() {
            tracing::error!(request = %call.id, code = body.code, error = error as &dyn std::error::Error, "call failed");
        }
        let error =
            VerifikError { code: code(body, is_route), message: &body.message, details: &body.details };
        let answer = VerifikAnswer { success: false, data: None, pagination: None, error: Some(error) };
        set(&mut response, call, &answer);
        if let Some(seconds) = body.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    response
}

/// Verifik's code of an error, or our own where Verifik has none.
fn code(body: &ApiErrorBody, is_route: bool) -> &'static str {
    if body.status == StatusCode::UNAUTHORIZED {
        "UNAUTHORIZED"
    } else if body.status == StatusCode::BAD_REQUEST {
        "INVALID_PARAMETERS"
    } else if body.status == StatusCode::NOT_FOUND && is_route {
        "CREDIT_RECORD_NOT_FOUND"
    } else {
        body.code
    }
}
