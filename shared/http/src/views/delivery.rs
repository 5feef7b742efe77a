//! Deliveries as callers see them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{DeliveryKind, DeliveryStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::event_names::Sendable;
use crate::timestamp;

/// The delivery of one event to one webhook.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "deliveryId": "del_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "eventId": "evt_01HM6QY8R0Z3V9Q2T5W7X8Y9ZB", "sequence": 5,
    "event": "credits.low_balance", "kind": "event", "status": "retrying", "attempt": 1, "attemptsMax": 10,
    "nextAttempt": "2024-01-15T10:30:05Z", "createdAt": "2024-01-15T10:30:00Z",
    "request": { "url": "https://yourdomain.com/webhooks/veriplus", "headers": { "webhook-id": "evt_01HM6QY8R0Z3V9Q2T5W7X8Y9ZB" }, "body": "{}" },
    "response": { "status": 500, "headers": {}, "body": "oh no" },
    "attempts": [{ "at": "2024-01-15T10:30:00Z", "durationMs": 81, "status": 500, "error": null }]
}))]
pub struct DeliveryView {
    /// `del_…`, the same for every attempt.
    delivery_id: String,
    /// `evt_…`, the same for every delivery of the event.
    event_id: String,
    /// The event's number; 0 for a test.
    sequence: u64,
    /// The event's name.
    #[schema(value_type = Sendable)]
    event: String,
    /// The kind of delivery: event, replay or test.
    kind: &'static str,
    /// succeeded; retrying; failed: it is not retried automatically; skipped: it failed as often as `onFailure` allows and
    /// later events are sent; aborted: the endpoint answered `webhook-delivery: abort-message`; superseded: it was being retried when you paused the
    /// webhook, changed its URL or events, or moved it to another place (`deliverAfter`, another range to replay). If the
    /// event is still to be delivered, it gets a new delivery, from attempt 1.
    status: &'static str,
    /// The number of attempts so far.
    attempt: usize,
    /// The most attempts.
    attempts_max: u32,
    /// When the next attempt is due, rounded up to a second; null if there is none.
    #[serde(serialize_with = "timestamp::rounded_up")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt: Option<DateTime<Utc>>,
    /// When it was first sent.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    /// The latest request.
    request: SentRequestView,
    /// The latest response; null if there was none.
    response: Option<DeliveryResponse>,
    /// All attempts, the earliest first.
    attempts: Vec<DeliveryAttemptView>,
}

/// The request of a delivery.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DeliveryRequest)]
struct SentRequestView {
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// The response of the endpoint.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct DeliveryResponse {
    status: u16,
    headers: BTreeMap<String, String>,
    /// The first 4 KB of the body.
    body: String,
}

/// An attempt of a delivery.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
#[serde(rename_all = "camelCase")]
struct DeliveryAttemptView {
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    at: DateTime<Utc>,
    /// The duration in milliseconds.
    duration_ms: u64,
    /// The HTTP status; null if there was no response.
    status: Option<u16>,
    /// Why there was no response.
    error: Option<String>,
}

impl DeliveryView {
    /// A delivery with its attempts.
    #[must_use]
    pub fn of(delivery: domain::Delivery) -> Self {
        let attempts_max = delivery.attempts_max();
        let map = |headers: Vec<(String, String)>| headers.into_iter().collect();
        let attempts = delivery.attempts.into_iter().map(|attempt| DeliveryAttemptView {
            at: attempt.at,
            duration_ms: attempt.took_ms,
            status: attempt.status,
            error: attempt.error,
        });
        let attempts: Vec<_> = attempts.collect();
        Self {
            delivery_id: delivery.id.to_string(),
            event_id: delivery.event_id,
            sequence: delivery.number,
            event: delivery.event,
            kind: match delivery.kind {
                DeliveryKind::Event => "event",
                DeliveryKind::Replay | DeliveryKind::Once => "replay",
                DeliveryKind::Test => "test",
            },
            status: match delivery.status {
                DeliveryStatus::Succeeded => "succeeded",
                DeliveryStatus::Retrying => "retrying",
                DeliveryStatus::Failed => "failed",
                DeliveryStatus::Skipped => "skipped",
                DeliveryStatus::Aborted => "aborted",
                DeliveryStatus::Superseded => "superseded",
            },
            attempt: attempts.len(),
            attempts_max,
            next_attempt: delivery.next,
            created_at: delivery.created_at,
            request: SentRequestView {
                url: delivery.request.url,
                headers: map(delivery.request.headers),
                body: delivery.request.body,
            },
            response: delivery.response.map(|response| DeliveryResponse {
                status: response.status,
                headers: map(response.headers),
                body: response.body,
            }),
            attempts,
        }
    }
}
