//! Calls of the machine's own routes, at times in the past.

use std::sync::Arc;

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use crate::clock::LocalClock;

/// The largest answer that is read, in bytes.
const ANSWER_MAX: usize = 1 << 20;

/// Calls routes as a customer or an operator does.
pub(super) struct PastCaller {
    pub(super) router: Router,
    pub(super) clock: Arc<LocalClock>,
    /// How many calls were made: their idempotency keys are made from it.
    pub(super) calls: u64,
}

/// A call of a route.
pub(super) struct PastCall<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    /// The API key.
    pub(super) key: &'a str,
    /// `Value::Null` for none.
    pub(super) body: Value,
}

impl PastCaller {
    /// Moves the clock to a time. It stays where it is when it shows a later time.
    pub(super) fn wait_until(&self, at: DateTime<Utc>) -> anyhow::Result<()> {
        self.clock.set(|now| now.max(at))?;
        Ok(())
    }

    /// Sends a request and returns the status and the `data` of its answer.
    ///
    /// # Errors
    /// When the answer is neither a success nor a declined payment.
    pub(super) async fn send(&mut self, call: PastCall<'_>) -> anyhow::Result<(StatusCode, Value)> {
        let PastCall { method, path, key, body } = call;
        self.calls = self.calls.saturating_add(1);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {key}"))
            .header("Idempotency-Key", format!("showcase-{}", self.calls));
        let request = if body.is_null() {
            request.body(Body::empty())
        } else {
            request.header(CONTENT_TYPE, "application/json").body(Body::from(body.to_string()))
        };
        let Ok(answer) = self.router.clone().oneshot(request?).await;
        let status = answer.status();
        let text = to_bytes(answer.into_body(), ANSWER_MAX).await?;
        let is_expected = status.is_success() || status == StatusCode::PAYMENT_REQUIRED;
        ensure!(is_expected, "{path} answered {status}: {}", String::from_utf8_lossy(&text));
        let answer: Value = serde_json::from_slice(&text).context("an answer is not JSON")?;
        Ok((status, answer.get("data").cloned().unwrap_or_default()))
    }
}
