//! A process that serves many requests and keeps what it has read, as a warm function does.

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use scrip_http::{App, finish};
use serde_json::Value;

use crate::process::answer;
use crate::{ApiRequest, TestProcess};

/// A process with all functions that lives on after a request.
pub struct WarmProcess {
    /// What the process works with.
    pub app: Arc<App>,
}

impl TestProcess {
    /// Starts a process that lives on.
    pub fn warm(&self) -> WarmProcess {
        WarmProcess { app: self.start() }
    }
}

impl WarmProcess {
    /// Sends a request to the process; returns status and body.
    pub async fn call(&self, call: &ApiRequest<'_>) -> (u16, Value) {
        self.send(request(call)).await
    }

    /// Sends any request to the process; returns status and body.
    pub async fn send(&self, request: Request<Body>) -> (u16, Value) {
        answer(finish(local::functions(), self.app.clone()), request).await
    }
}

/// A request as it arrives.
pub(crate) fn request(call: &ApiRequest<'_>) -> Request<Body> {
    let mut request = Request::builder().method(call.method.clone()).uri(call.path);
    request = request.header("authorization", format!("Bearer {}", call.api_key));
    if let Some(key) = call.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let body = call.body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    request.header("content-type", "application/json").body(body).unwrap()
}
