//! A request to the API, as a value.

use http::Method;
use serde_json::Value;

/// A request to the API. Without [`ApiRequest::under`] it has no idempotency key, without [`ApiRequest::with`] no body.
#[derive(Clone, Debug)]
pub struct ApiRequest<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) api_key: &'a str,
    pub(crate) idempotency_key: Option<&'a str>,
    pub(crate) body: Option<&'a Value>,
}

impl<'a> ApiRequest<'a> {
    /// A request with an API key.
    pub fn new(method: Method, path: &'a str, api_key: &'a str) -> Self {
        Self { method, path, api_key, idempotency_key: None, body: None }
    }

    /// The request under an idempotency key.
    #[must_use]
    pub fn under(self, idempotency_key: &'a str) -> Self {
        Self { idempotency_key: Some(idempotency_key), ..self }
    }

    /// The request with a body; null is no body.
    #[must_use]
    pub fn with(self, body: &'a Value) -> Self {
        Self { body: Some(body).filter(|body| !body.is_null()), ..self }
    }
}
