//! The requests of an import.

use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use reqwest::{Client, Method, RequestBuilder};
use scrip_http::Instant;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::RowOutcome;
use super::rows::ImportRow;

/// How often a request is sent while its answer asks to retry, or none arrives.
const ATTEMPTS_MAX: u32 = 8;

const ORGANISATIONS: &str = "/admin/v1/organisations";

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(35);

/// Sends the requests of an import.
pub(super) struct ImportClient {
    client: Client,
    url: String,
    key: String,
}

/// An answer that needs no retry.
struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What an error says.
    fn problem(&self) -> String {
        let message = self.body.pointer("/error/message").and_then(Value::as_str).unwrap_or("no message");
        let fields = self.body.pointer("/error/details/fields").map(Value::to_string).unwrap_or_default();
        format!("{}: {message} {fields}", self.status).trim().to_owned()
    }

    fn text(&self, place: &str) -> anyhow::Result<String> {
        let text = self.body.pointer(place).and_then(Value::as_str);
        text.map(str::to_owned).with_context(|| format!("the answer has no {place}"))
    }
}

impl ImportClient {
    pub(super) fn new(url: &str, key: &SecretString) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(PATIENCE).build().context("cannot make a client")?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { client, url, key: key.expose_secret().to_owned() })
    }

    /// Makes sure that the API answers and accepts the key, before anything is sent. Returns the time of its clock.
    pub(super) async fn check(&self) -> anyhow::Result<DateTime<Utc>> {
        let request = self.request(Method::GET, ORGANISATIONS).query(&[("limit", "1")]);
        let answer = request.send().await.with_context(|| format!("{} does not answer", self.url))?;
        let status = answer.status().as_u16();
        let answer = Answer { status, body: answer.json().await.unwrap_or_default() };
        if !answer.is_success() {
            bail!("{} refuses the key: {}", self.url, answer.problem())
        }
        let now = Instant::read(&answer.text("/meta/timestamp")?);
        now.map(|Instant(now)| now).with_context(|| format!("{} does not say what time it is", self.url))
    }

    /// Opens the organisation of a row and grants its credits.
    pub(super) async fn import(&self, row: &ImportRow) -> RowOutcome {
        match self.steps(row).await {
            Ok(outcome) => outcome,
            Err(error) => RowOutcome::Failed(format!("{error:#}")),
        }
    }

    async fn steps(&self, row: &ImportRow) -> anyhow::Result<RowOutcome> {
        let opened =
            self.post(ORGANISATIONS, &name(row, "open"), &organisation(row)).await.context("opening it")?;
        if opened.status == 409 {
            // Its own request of an earlier run would have been answered with the organisation.
            let found = self.get(ORGANISATIONS, &row.external_id).await?;
            return Ok(RowOutcome::Known(found.text("/data/0/organisationId")?));
        }
        if !opened.is_success() {
            bail!("opening it: {}", opened.problem());
        }
        let org = opened.text("/data/organisationId")?;
        let grants = format!("{ORGANISATIONS}/{org}/grants");
        for (step, body) in [("purchased", purchased(row)), ("bonus", bonus(row))] {
            let Some(body) = body else { continue };
            let granted = self.post(&grants, &name(row, step), &body).await;
            let granted = granted.with_context(|| format!("granting {step} credits"))?;
            if !granted.is_success() {
                bail!("granting {step} credits: {}", granted.problem());
            }
        }
        Ok(RowOutcome::Imported(org))
    }

    async fn get(&self, path: &str, external_id: &str) -> anyhow::Result<Answer> {
        self.send(|| self.request(Method::GET, path).query(&[("externalId", external_id)])).await
    }

    async fn post(&self, path: &str, name: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(|| self.request(Method::POST, path).header("idempotency-key", name).json(body)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    /// Sends a request until its answer is final. Each attempt has the same idempotency key.
    async fn send(&self, request: impl Fn() -> RequestBuilder) -> anyhow::Result<Answer> {
        let mut last = None;
        for attempt in 0..ATTEMPTS_MAX {
            let wait = match request().send().await {
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    let after = answer
                        .headers()
                        .get("retry-after")
                        .and_then(|after| after.to_str().ok()?.parse().ok());
                    let body: Value = answer.json().await.unwrap_or_default();
                    let answer = Answer { status, body };
                    let Some(after) = after else {
                        if status < 500 {
                            return Ok(answer);
                        }
                        last = Some(answer.problem());
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        continue;
                    };
                    last = Some(answer.problem());
                    Duration::from_secs(after)
                }
                Err(error) => {
                    last = Some(error.to_string());
                    Duration::from_secs(1 << attempt.min(4))
                }
            };
            tokio::time::sleep(wait).await;
        }
        bail!("{}", last.unwrap_or_default())
    }
}

/// The idempotency key of a step of a row. External ids may be longer than a key, and have blanks.
fn name(row: &ImportRow, step: &str) -> String {
    let digest = Sha256::digest(row.external_id.as_bytes());
    let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("import/{digest}/{step}")
}

fn organisation(row: &ImportRow) -> Value {
    let mut body = json!({ "name": row.name, "externalId": row.external_id });
    for (field, value) in [
        ("plan", row.plan.as_ref().map(|plan| json!(plan))),
        ("allowance", row.allowance.map(|allowance| json!(allowance))),
        ("currency", row.currency.as_ref().map(|currency| json!(currency))),
        ("selfServicePlans", row.self_service_plans.map(|allowed| json!(allowed))),
    ] {
        if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
            body.insert(field.to_owned(), value);
        }
    }
    body
}

fn purchased(row: &ImportRow) -> Option<Value> {
    let amount = row.purchased?;
    Some(json!({ "source": "purchased", "amount": amount, "description": "Imported" }))
}

fn bonus(row: &ImportRow) -> Option<Value> {
    let amount = row.bonus?;
    let body = json!({ "source": "bonus", "amount": amount, "description": "Imported" });
    Some(match &row.bonus_expires_at {
        Some(at) => {
            let mut body = body;
            if let Some(fields) = body.as_object_mut() {
                fields.insert("expiresAt".to_owned(), json!(at));
            }
            body
        }
        None => body,
    })
}
