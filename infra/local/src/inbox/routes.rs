//! The routes of the inbox: receive a webhook and verify its signature, list what was received, empty the inbox.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, FromRequest, Path, Request, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use domain::WebhookId;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;
use ports::SecretOf;
use scrip_http::{ApiError, App, Clock, QueryParams, Reply, SystemClock};
use scrip_webhooks::verify;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use store::Fault;

use super::page::page;
use super::received::{Inbox, ReceivedRequest, WebhookSecrets};
use crate::directory;

/// How many bytes of a body are kept: more than any event has.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How many bytes of each name, header name and header value are kept, and how many headers.
const WORD_BYTES_MAX: usize = 1_024;
const HEADERS_MAX: usize = 40;

/// How many requests a list shows: by default, and at most.
const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiveQuery {
    /// The HTTP status to answer with, to see how a delivery is retried.
    answer: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InboxQuery {
    /// How many requests to show, newest first.
    limit: Option<usize>,
}

/// The router of the inbox.
pub(crate) fn routes(inbox: Inbox) -> Router<Arc<App>> {
    Router::new()
        .route("/_local/inbox", get(list).delete(empty))
        .route("/_local/inbox/{*name}", post(receive))
        .layer(Extension(inbox))
}

/// Shows what was received: a page for browsers, JSON for programs.
async fn list(
    Extension(inbox): Extension<Inbox>,
    headers: HeaderMap,
    QueryParams(InboxQuery { limit }): QueryParams<InboxQuery>,
) -> Result<Response, ApiError> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be 1 to {LIMIT_MAX}")));
    }
    let (received, kept) = inbox.newest(limit);
    let wanted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if wanted.contains("text/html") {
        return Ok(Html(page(&received, kept)).into_response());
    }
    Ok(Reply::ok(&received)?.into_response())
}

async fn empty(Extension(inbox): Extension<Inbox>) -> Result<Reply, ApiError> {
    inbox.clear();
    Reply::ok(&json!({ "emptied": true }))
}

/// Receives a delivery as a customer's server would: verifies it and answers.
async fn receive(
    State(app): State<Arc<App>>,
    Extension(inbox): Extension<Inbox>,
    Path(name): Path<String>,
    QueryParams(ReceiveQuery { answer }): QueryParams<ReceiveQuery>,
    delivery: ReceivedDelivery,
) -> Result<Response, ApiError> {
    let status = StatusCode::from_u16(answer.unwrap_or(200));
    let status = status.map_err(|_| ApiError::field("answer", "must be an HTTP status, 100 to 999"))?;
    let mut verified = signer(&inbox.secrets(&name), &delivery);
    if verified.is_err() {
        // The webhook may have a new secret.
        let found = read_secrets(&app, &name).await?;
        verified = signer(&found, &delivery);
        inbox.remember(&name, found);
    }
    inbox.keep(delivery.into_received(&name, verified, status));
    let mut reply = Reply::ok(&json!({ "received": true }))?.into_response();
    *reply.status_mut() = status;
    Ok(reply)
}

/// The headers and the body of a delivery.
struct ReceivedDelivery {
    headers: HeaderMap,
    body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for ReceivedDelivery {
    type Rejection = BytesRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, BytesRejection> {
        let headers = request.headers().clone();
        Ok(Self { headers, body: Bytes::from_request(request, state).await? })
    }
}

impl ReceivedDelivery {
    /// What the inbox keeps of it.
    fn into_received(
        self,
        name: &str,
        verified: Result<WebhookId, String>,
        answered: StatusCode,
    ) -> ReceivedRequest {
        let Self { headers, body } = self;
        let is_short = |bytes: &[u8]| bytes.len() <= WORD_BYTES_MAX;
        let truncated = body.len() > BODY_BYTES_MAX
            || headers.len() > HEADERS_MAX
            || !headers.iter().all(|(name, value)| is_short(name.as_ref()) && is_short(value.as_bytes()))
            || !is_short(name.as_bytes());
        let text = |bytes: &[u8], most| String::from_utf8_lossy(first_bytes(bytes, most)).into_owned();
        let word = |bytes: &[u8]| text(bytes, WORD_BYTES_MAX);
        let kept = text(&body, BODY_BYTES_MAX);
        ReceivedRequest {
            received_at: SystemClock.now(),
            name: word(name.as_bytes()),
            verified: verified.is_ok(),
            webhook_id: verified.as_ref().ok().copied(),
            problem: verified.err(),
            answered: answered.as_u16(),
            headers: headers
                .iter()
                .take(HEADERS_MAX)
                .map(|(name, value)| (word(name.as_ref()), word(value.as_bytes())))
                .collect(),
            body_bytes: body.len(),
            truncated,
            body: as_json(&kept),
            text: kept,
        }
    }
}

/// The first bytes, at most `most`.
fn first_bytes(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}

/// The text as JSON if it is JSON, else as a JSON string.
fn as_json(text: &str) -> Box<RawValue> {
    // Parsed as a `Value` first, because that refuses JSON that is nested too deeply for other readers.
    let known = serde_json::from_str::<Value>(text).and_then(|_| serde_json::from_str(text));
    known.or_else(|_| to_raw_value(text)).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The webhook that has signed a delivery, or why none has.
fn signer(secrets: &WebhookSecrets, delivery: &ReceivedDelivery) -> Result<WebhookId, String> {
    let mut problem = "no webhook has this URL".to_owned();
    for (id, secret) in secrets {
        match verify(std::slice::from_ref(secret), &delivery.headers, &delivery.body) {
            Ok(()) => return Ok(*id),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(problem)
}

/// The secrets of all webhooks whose URL has this name of the inbox.
async fn read_secrets(app: &App, name: &str) -> Result<WebhookSecrets, ApiError> {
    let mut found = Vec::new();
    for account in directory::accounts(&app.ledger).await? {
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

/// Decodes a path as the router decodes the path of a request.
fn decoded(path: &str) -> Cow<'_, str> {
    percent_decode_str(path).decode_utf8_lossy()
}
