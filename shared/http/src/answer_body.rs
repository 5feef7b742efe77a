//! What all answers have in common, whatever their shape: why a request was refused, and the body with its headers.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::error::ApiErrorBody;
use super::{ApiError, RequestContext};

/// Why a request was refused; `None` for an answer that is no error.
pub(super) fn refusal(response: &mut Response) -> Option<Arc<(ApiError, ApiErrorBody)>> {
    // The router itself refuses only a path that cannot be decoded.
    response.extensions_mut().remove::<Arc<(ApiError, ApiErrorBody)>>().or_else(|| {
        let error = ApiError::field("path", "is not valid UTF-8");
        let body = error.body();
        (response.status() == StatusCode::BAD_REQUEST).then(|| Arc::new((error, body)))
    })
}

/// Sets the body of an answer.
pub(super) fn set(response: &mut Response, call: &RequestContext, envelope: &impl Serialize) {
    let json = serde_json::to_vec(envelope).unwrap_or_default();
    *response.body_mut() = Body::from(json);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&call.id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}
