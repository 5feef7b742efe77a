//! Webhooks and deliveries as callers see them.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use domain::{DeliveryKind, DeliveryState, DeliveryStatus, EventName, WebhookSecret, WebhookStatus};
use scrip_http::timestamp;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::event_names::{Happening, Sendable};
use super::on_failure::OnFailureView;

/// A customer's endpoint.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Webhook)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "webhookId": "wh_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "url": "https://yourdomain.com/webhooks/veriplus",
    "events": ["credits.low_balance", "credits.depleted"], "description": null, "status": "ACTIVE",
    "pausedReason": null, "onFailure": { "action": "block", "afterAttempts": null }, "deliveredThrough": 4,
    "consecutiveFailures": 0, "nextAttempt": null, "skipped": null, "replay": null, "secretsUntil": [null], "createdAt": "2024-01-15T10:30:00Z"
}))]
pub(super) struct WebhookView {
    /// `wh_…`
    webhook_id: String,
    /// The URL that events are sent to.
    url: String,
    /// The subscribed events; empty for all events.
    #[schema(value_type = Vec<Happening>)]
    events: Vec<EventName>,
    /// Your description.
    description: Option<String>,
    /// ACTIVE; PAUSED: nothing is sent, and events are kept; DISABLED: the endpoint has answered 410 Gone.
    status: &'static str,
    /// Why nothing is sent: owner, failing, gone, or secret_unreadable: Scrip cannot decrypt the secret; rotate it, then
    /// resume the webhook.
    paused_reason: Option<&'static str>,
    /// What follows when the endpoint does not accept an event.
    on_failure: OnFailureView,
    /// The number of the last event that was delivered or skipped.
    delivered_through: u64,
    /// The number of failed attempts for the next event.
    consecutive_failures: u32,
    /// When the next attempt is due, rounded up to a second; null for at once.
    #[serde(serialize_with = "by_then")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt: Option<DateTime<Utc>>,
    /// The events that were skipped because of `onFailure`; null if there are none.
    skipped: Option<SkippedView>,
    /// The range of events that is being replayed.
    replay: Option<ReplayLeft>,
    /// The end of each secret, the newest first; null for a secret without an end.
    #[serde(serialize_with = "each")]
    #[schema(value_type = Vec<Option<String>>)]
    secrets_until: Vec<Option<DateTime<Utc>>>,
    /// When it was made.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
}

/// A webhook with its signing secret, which is shown once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "webhookId": "wh_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "url": "https://yourdomain.com/webhooks/veriplus",
    "events": ["credits.low_balance", "credits.depleted"],
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=", "description": null, "status": "ACTIVE",
    "pausedReason": null, "onFailure": { "action": "block", "afterAttempts": null }, "deliveredThrough": 4,
    "consecutiveFailures": 0, "nextAttempt": null, "skipped": null, "replay": null, "secretsUntil": [null], "createdAt": "2024-01-15T10:30:00Z"
}))]
pub(super) struct WebhookWithSecret {
    #[serde(flatten)]
    pub(super) webhook: WebhookView,
    /// `whsec_…`, to verify deliveries with any library of Standard Webhooks. Null if an earlier answer has shown it; rotate
    /// the secret to get another one.
    secret: Option<String>,
    /// true if the secret was shown before and is not shown again. Left out if the secret is shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    secret_shown: bool,
}

impl WebhookWithSecret {
    /// The view with the secret, or without if it is not known any more.
    pub(super) fn new(webhook: WebhookView, secret: Option<&WebhookSecret>) -> Self {
        let secret = secret.map(|secret| secret.reveal().to_owned());
        Self { webhook, secret_shown: secret.is_none(), secret }
    }

    /// The answer to a retry, without the secret.
    pub(super) fn again(webhook: WebhookView) -> Self {
        Self::new(webhook, None)
    }
}

/// A webhook after a change of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangedWebhook {
    #[serde(flatten)]
    pub(super) webhook: WebhookView,
    /// Events that the webhook does not get any more: they are older than 30 days and were deleted. Left out if there are
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub(super) lost_events: Option<LostEvents>,
}

/// A range of events that were deleted before they were delivered.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LostEvents {
    /// The number of the first of them.
    pub(super) first_sequence: u64,
    /// The number of the last of them.
    pub(super) last_sequence: u64,
}

/// Events that an endpoint did not accept and that were skipped. The log of deliveries shows each with the status
/// `skipped`.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = SkippedEvents)]
#[serde(rename_all = "camelCase")]
struct SkippedView {
    /// How many there are, since the webhook was created.
    count: u64,
    /// The number of the latest one.
    last_sequence: u64,
    /// When the latest one was skipped.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    last_at: DateTime<Utc>,
}

/// The rest of a range that is being replayed.
#[derive(Clone, Serialize, ToSchema)]
struct ReplayLeft {
    /// The number of the last replayed event, or the number before the first.
    after: u64,
    /// The number of the last event of the range.
    through: u64,
}

/// The delivery of one event to one webhook.
#[derive(Serialize, ToSchema)]
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
pub(super) struct DeliveryView {
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
    #[serde(serialize_with = "by_then")]
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
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryRequest)]
struct SentRequestView {
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// The response of the endpoint.
#[derive(Serialize, ToSchema)]
struct DeliveryResponse {
    status: u16,
    headers: BTreeMap<String, String>,
    /// The first 4 KB of the body.
    body: String,
}

/// An attempt of a delivery.
#[derive(Serialize, ToSchema)]
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

/// Writes the time of an attempt rounded up to a second, so that a caller who waits for it is not too early.
#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn by_then<S: Serializer>(at: &Option<DateTime<Utc>>, out: S) -> Result<S::Ok, S::Error> {
    let up = |at: DateTime<Utc>| {
        let second = at.trunc_subsecs(0);
        if second == at { at } else { second.checked_add_signed(TimeDelta::seconds(1)).unwrap_or(at) }
    };
    out.serialize_some(&at.map(up).as_ref().map(timestamp::text))
}

fn each<S: Serializer>(times: &[Option<DateTime<Utc>>], out: S) -> Result<S::Ok, S::Error> {
    out.collect_seq(times.iter().map(|at| at.as_ref().map(timestamp::text)))
}

impl WebhookView {
    pub(super) fn of(webhook: &domain::Webhook, state: &DeliveryState, wall: DateTime<Utc>) -> Self {
        let (status, paused_reason) = match state.status {
            WebhookStatus::Active => ("ACTIVE", None),
            WebhookStatus::Paused => ("PAUSED", Some("owner")),
            WebhookStatus::Failing => ("PAUSED", Some("failing")),
            WebhookStatus::Gone => ("DISABLED", Some("gone")),
            WebhookStatus::SecretUnreadable => ("PAUSED", Some("secret_unreadable")),
        };
        Self {
            webhook_id: webhook.id.to_string(),
            url: webhook.url.to_string(),
            events: webhook.events.iter().copied().collect(),
            description: webhook.description.as_ref().map(|words| words.as_str().to_owned()),
            status,
            paused_reason,
            on_failure: webhook.on_failure.into(),
            delivered_through: state.through,
            consecutive_failures: state.failures,
            next_attempt: state.retry_at,
            skipped: state.skipped.map(|skipped| SkippedView {
                count: skipped.count,
                last_sequence: skipped.number,
                last_at: skipped.at,
            }),
            replay: state.replay.map(|left| ReplayLeft { after: left.through, through: left.last }),
            secrets_until: webhook.current(wall).map(|secret| secret.until).collect(),
            created_at: webhook.created_at,
        }
    }
}

impl DeliveryView {
    pub(super) fn of(delivery: domain::Delivery) -> Self {
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
