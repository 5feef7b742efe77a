//! A webhook inbox: whatever is sent to `/_local/inbox/{any}` is shown, with whether its signature verifies.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{HookSecret, WebhookId};
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;
use ports::SecretOf;
use scrip_http::{ApiError, App, Clock, Params, Reply, System, instant};
use scrip_webhooks::verify;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use store::Fault;

use crate::duties;
use crate::inbox_page::page;
use crate::routes::Local;

/// How many requests the inbox keeps, and how many bytes of them in all; past either the oldest are forgotten.
const KEPT_MAX: usize = 500;
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How much of a body is kept: what we send ourselves is far less.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How much of anything else that a request consists of is kept, and how many headers of it.
const WORD_BYTES_MAX: usize = 1_024;
const HEADERS_MAX: usize = 40;

/// How many are shown at once: unless something else is asked for, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 100;

/// What was received, the newest first, and the secrets that are known by the path that they sign for.
#[derive(Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    received: VecDeque<Received>,
    secrets: HashMap<String, Vec<(WebhookId, HookSecret)>>,
}

/// One request.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Received {
    /// By the machine's own clock.
    #[serde(with = "instant")]
    pub(crate) received_at: DateTime<Utc>,
    /// What follows `/_local/inbox/`.
    pub(crate) name: String,
    /// Whether its signatures are those of a webhook that points here.
    pub(crate) verified: bool,
    /// Why not.
    pub(crate) problem: Option<String>,
    /// Whose secret it was signed with.
    pub(crate) webhook_id: Option<WebhookId>,
    /// The HTTP status that it was answered with.
    pub(crate) answered: u16,
    pub(crate) headers: HashMap<String, String>,
    /// How long the body was, in bytes.
    pub(crate) body_bytes: usize,
    /// Whether more of the request came than is kept.
    pub(crate) truncated: bool,
    /// The body as it came, as far as it is kept.
    pub(crate) text: String,
    /// The body as JSON, its fields in the order in which they came; as text where it is none, or not whole.
    pub(crate) body: Box<RawValue>,
}

impl Received {
    /// How much room it takes.
    fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len().saturating_add(value.len()));
        let body = self.text.len().saturating_add(self.body.get().len());
        headers.fold(body.saturating_add(self.name.len()), usize::saturating_add)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// The HTTP status to answer with, to see what becomes of a delivery that is not taken.
    answer: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Look {
    /// How many are shown, the newest first.
    limit: Option<usize>,
}

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/_local/inbox", get(look).delete(empty))
        .route("/_local/inbox/{*name}", post(receive))
}

/// What was received: a page for people, JSON for programs.
async fn look(
    Extension(local): Extension<Local>,
    headers: HeaderMap,
    Params(Look { limit }): Params<Look>,
) -> Result<Response, ApiError> {
    let limit = limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be 1 to {PAGE_MAX}")));
    }
    let (received, kept) = local.inbox.newest(limit);
    let wanted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if wanted.contains("text/html") {
        return Ok(Html(page(&received, kept)).into_response());
    }
    Ok(Reply::ok(&received)?.into_response())
}

async fn empty(Extension(local): Extension<Local>) -> Result<Reply, ApiError> {
    local.inbox.lock().received.clear();
    Reply::ok(&json!({ "emptied": true }))
}

/// Takes a delivery, as a customer's server would: verifies it, and answers.
async fn receive(
    State(app): State<Arc<App>>,
    Extension(local): Extension<Local>,
    (Path(name), Params(Answer { answer })): (Path<String>, Params<Answer>),
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let status = StatusCode::from_u16(answer.unwrap_or(200));
    let status = status.map_err(|_| ApiError::field("answer", "must be an HTTP status, 100 to 999"))?;
    let verified = local.inbox.verify(&app, &name, (&headers, &body)).await?;
    let text = |bytes: &[u8], most| String::from_utf8_lossy(begin(bytes, most)).into_owned();
    let is_short = |bytes: &[u8]| bytes.len() <= WORD_BYTES_MAX;
    let truncated = body.len() > BODY_BYTES_MAX
        || headers.len() > HEADERS_MAX
        || !headers.iter().all(|(name, value)| is_short(name.as_ref()) && is_short(value.as_bytes()))
        || !is_short(name.as_bytes());
    let word = |bytes: &[u8]| text(bytes, WORD_BYTES_MAX);
    let kept = text(&body, BODY_BYTES_MAX);
    local.inbox.keep(Received {
        received_at: System.now(),
        name: word(name.as_bytes()),
        verified: verified.is_ok(),
        webhook_id: verified.as_ref().ok().copied(),
        problem: verified.err(),
        answered: status.as_u16(),
        headers: headers
            .iter()
            .take(HEADERS_MAX)
            .map(|(name, value)| (word(name.as_ref()), word(value.as_bytes())))
            .collect(),
        body_bytes: body.len(),
        truncated,
        body: as_json(&kept),
        text: kept,
    });
    let mut reply = Reply::ok(&json!({ "received": true }))?.into_response();
    *reply.status_mut() = status;
    Ok(reply)
}

/// So many bytes at most, from the beginning.
fn begin(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}

/// JSON as it stands there, and anything else as a string of JSON.
fn as_json(text: &str) -> Box<RawValue> {
    // Read as a value first: what is nested too deep for that is no JSON for others either.
    let known = serde_json::from_str::<Value>(text).and_then(|_| serde_json::from_str(text));
    known.or_else(|_| to_raw_value(text)).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

impl Inbox {
    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, received: Received) {
        let mut kept = self.lock();
        kept.received.push_front(received);
        let mut room = KEPT_BYTES_MAX;
        let fit = kept.received.iter().take(KEPT_MAX).take_while(|one| {
            let rest = room.checked_sub(one.bytes());
            room = rest.unwrap_or_default();
            rest.is_some()
        });
        let fit = fit.count();
        kept.received.truncate(fit);
    }

    /// The newest, and how many there are.
    fn newest(&self, most: usize) -> (Vec<Received>, usize) {
        let kept = self.lock();
        (kept.received.iter().take(most).cloned().collect(), kept.received.len())
    }

    /// Which webhook has signed a request; or why none has. Secrets are looked for again when those that are
    /// known don't fit: one may be new.
    async fn verify(
        &self,
        app: &App,
        name: &str,
        (headers, body): (&HeaderMap, &[u8]),
    ) -> Result<Result<WebhookId, String>, ApiError> {
        let known = self.lock().secrets.get(name).cloned().unwrap_or_default();
        let verified = signer(&known, headers, body);
        if verified.is_ok() {
            return Ok(verified);
        }
        let found = secrets(app, name).await?;
        let verified = signer(&found, headers, body);
        // Anybody may send to any name; remembered are those that a webhook has.
        let mut kept = self.lock();
        if found.is_empty() {
            kept.secrets.remove(name);
        } else {
            kept.secrets.insert(name.to_owned(), found);
        }
        drop(kept);
        Ok(verified)
    }
}

fn signer(
    secrets: &[(WebhookId, HookSecret)],
    headers: &HeaderMap,
    body: &[u8],
) -> Result<WebhookId, String> {
    let mut problem = "no webhook points here".to_owned();
    for (id, secret) in secrets {
        match verify(std::slice::from_ref(secret), headers, body) {
            Ok(()) => return Ok(*id),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(problem)
}

/// The secrets of all webhooks that point to that name.
async fn secrets(app: &App, name: &str) -> Result<Vec<(WebhookId, HookSecret)>, ApiError> {
    let accounts = duties::accounts(app).await.map_err(crate::routes::unkept)?;
    let mut found = Vec::new();
    for account in accounts {
        for (webhook, _) in app.activity.webhooks(account).await? {
            let path = webhook.url.to_string();
            let path = path.split_once("/_local/inbox/").map_or("", |(_, path)| path);
            if path.split('?').next().map(decoded).as_deref() != Some(name) {
                continue;
            }
            let owner = SecretOf { account, webhook: webhook.id };
            for secret in webhook.current(app.clock.moment().wall) {
                let secret = app.seal.open(owner, &secret.sealed).await.map_err(Fault::from)?;
                found.push((webhook.id, secret));
            }
        }
    }
    Ok(found)
}

/// A path as a request's is read.
fn decoded(path: &str) -> Cow<'_, str> {
    percent_decode_str(path).decode_utf8_lossy()
}
