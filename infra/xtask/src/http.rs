use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) replayed: bool,
    pub(crate) body: Value,
}

/// One request. A `key` makes it one of that caller; a body is sent as JSON.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'a str, String)>,
    pub(crate) body: Option<Value>,
}

/// Whether something answers 200 there.
pub(crate) fn is_up(url: &str) -> bool {
    let agent = agent(Duration::from_secs(1));
    agent.get(url).call().is_ok_and(|answer| answer.status().as_u16() == 200)
}

impl Call<'_> {
    /// Sends it. Every status is an answer.
    pub(crate) fn send(self) -> Result<Answer> {
        let Self { method, url, headers, body } = self;
        let told = format!("{method} {url}");
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
        let mut answer = answer.with_context(|| told.clone())?;
        let replayed = answer.headers().contains_key("idempotent-replayed");
        let text = answer.body_mut().read_to_string().with_context(|| told.clone())?;
        let status = answer.status().as_u16();
        let body = serde_json::from_str(&text).with_context(|| format!("{told}: {status} {text}"))?;
        Ok(Answer { status, replayed, body })
    }
}

fn agent(patience: Duration) -> Agent {
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(patience));
    config.build().into()
}
