//! The headers that tell a caller how many requests it may make: `RateLimit` and `RateLimit-Policy` of the IETF draft
//! "RateLimit header fields for HTTP".

use axum::response::Response;
use http::{HeaderName, HeaderValue};

use super::context::RateCount;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Adds the headers of the limits with which a request was counted. Without a limit there are none.
pub(super) fn with_headers(mut response: Response, counts: &[RateCount]) -> Response {
    let policy = |RateCount { of, state }: &RateCount| {
        format!("\"{of}\";q={};w={}", state.limit.requests(), state.limit.per_seconds())
    };
    let limit =
        |RateCount { of, state }: &RateCount| format!("\"{of}\";r={};t={}", state.remaining, state.ends_in);
    let lists = [
        (POLICY, counts.iter().map(policy).collect::<Vec<_>>()),
        (LIMIT, counts.iter().map(limit).collect::<Vec<_>>()),
    ];
    for (name, list) in lists {
        if let Ok(value) = HeaderValue::from_str(&list.join(", "))
            && !list.is_empty()
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
