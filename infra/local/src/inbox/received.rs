//! What the inbox keeps: the last requests, and the secrets that verify them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use domain::{WebhookId, WebhookSecret};
use scrip_http::timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

/// How many requests the inbox keeps, and how many bytes of them in all. The oldest are dropped first.
const REQUESTS_MAX: usize = 500;
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// The webhooks that send to one name of the inbox, with their secrets.
pub(super) type WebhookSecrets = Vec<(WebhookId, WebhookSecret)>;

/// The inbox. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<InboxState>>);

#[derive(Default)]
struct InboxState {
    /// Newest first.
    received: VecDeque<ReceivedRequest>,
    /// By the name that the webhook's URL has.
    secrets: HashMap<String, WebhookSecrets>,
}

/// One request that the inbox received.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReceivedRequest {
    /// In real time, not by the machine's clock.
    #[serde(with = "timestamp")]
    pub(crate) received_at: DateTime<Utc>,
    /// What follows `/_local/inbox/` in the path.
    pub(crate) name: String,
    /// Whether its signature is that of a webhook with this URL.
    pub(crate) verified: bool,
    /// Why it is not verified.
    pub(crate) problem: Option<String>,
    /// The webhook whose secret has signed it.
    pub(crate) webhook_id: Option<WebhookId>,
    /// The HTTP status of the answer.
    pub(crate) answered: u16,
    pub(crate) headers: HashMap<String, String>,
    /// The length of the whole body in bytes.
    pub(crate) body_bytes: usize,
    /// Whether the inbox keeps only a part of the request.
    pub(crate) truncated: bool,
    /// The body as text, as far as it is kept.
    pub(crate) text: String,
    /// The body as JSON, with its fields in their order. A body that is not JSON, or is truncated, is a JSON string.
    pub(crate) body: Box<RawValue>,
}

impl ReceivedRequest {
    /// How many bytes it takes.
    fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len().saturating_add(value.len()));
        let body = self.text.len().saturating_add(self.body.get().len());
        headers.fold(body.saturating_add(self.name.len()), usize::saturating_add)
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, InboxState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep(&self, request: ReceivedRequest) {
        let mut state = self.lock();
        state.received.push_front(request);
        let mut room = BYTES_MAX;
        let fit = state.received.iter().take(REQUESTS_MAX).take_while(|one| {
            let rest = room.checked_sub(one.bytes());
            room = rest.unwrap_or_default();
            rest.is_some()
        });
        let fit = fit.count();
        state.received.truncate(fit);
    }

    /// The newest requests, at most `most`, and how many there are in all.
    pub(super) fn newest(&self, most: usize) -> (Vec<ReceivedRequest>, usize) {
        let state = self.lock();
        (state.received.iter().take(most).cloned().collect(), state.received.len())
    }

    pub(super) fn clear(&self) {
        self.lock().received.clear();
    }

    /// The secrets that were remembered for a name.
    pub(super) fn secrets(&self, name: &str) -> WebhookSecrets {
        self.lock().secrets.get(name).cloned().unwrap_or_default()
    }

    /// Remembers the secrets for a name. Requests may use any name, so names without a webhook are not remembered.
    pub(super) fn remember(&self, name: &str, secrets: WebhookSecrets) {
        let mut state = self.lock();
        if secrets.is_empty() {
            state.secrets.remove(name);
        } else {
            state.secrets.insert(name.to_owned(), secrets);
        }
    }
}
