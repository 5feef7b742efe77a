//! A small HTTP client for the checks.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// An answer with a JSON body.
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) replayed: bool,
    /// What a browser would send back of the cookie that it sets.
    pub(crate) cookie: Option<String>,
    pub(crate) body: Value,
}

/// One request. A body is sent as JSON.
pub(crate) struct HttpCall<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'a str, String)>,
    pub(crate) body: Option<Value>,
}

/// Whether a URL answers 200 within a second.
pub(crate) fn is_up(url: &str) -> bool {
    let agent = agent(Duration::from_secs(1));
    agent.get(url).call().is_ok_and(|answer| answer.status().as_u16() == 200)
}

/// Sends a PUT.
///
/// # Errors
/// When the answer is not a 200.
pub(crate) fn put(url: &str, authorization: &str, body: String) -> Result<()> {
    let request = Request::builder().method("PUT").uri(url).header("Authorization", authorization);
    let answer = agent(PATIENCE).run(request.body(body)?).with_context(|| url.to_owned())?;
    let status = answer.status().as_u16();
    ensure!(status == 200, "PUT {url}: {status}");
    Ok(())
}

impl HttpCall<'_> {
    /// Sends the request. An answer of any status is a success.
    pub(crate) fn send(self) -> Result<HttpAnswer> {
        let Self { method, url, headers, body } = self;
        let name = format!("{method} {url}");
        let request = Request::builder().method(method).uri(url);
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let agent = agent(PATIENCE);
        let answer = match body {
            Some(body) => {
                let request = request.header("Content-Type", "application/json");
                agent.run(request.body(body.to_string())?)
            }
            None => agent.run(request.body(())?),
        };
        let mut answer = answer.with_context(|| name.clone())?;
        let replayed = answer.headers().contains_key("idempotent-replayed");
        let cookie = answer.headers().get("set-cookie").and_then(|cookie| cookie.to_str().ok());
        let cookie = cookie.and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
        let text = answer.body_mut().read_to_string().with_context(|| name.clone())?;
        let status = answer.status().as_u16();
        let body = serde_json::from_str(&text).with_context(|| format!("{name}: {status} {text}"))?;
        Ok(HttpAnswer { status, replayed, cookie, body })
    }
}

fn agent(patience: Duration) -> Agent {
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(patience));
    config.build().into()
}
