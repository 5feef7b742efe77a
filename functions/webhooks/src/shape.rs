use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use domain::{DeliveryKind, DeliveryStanding, DeliveryState, EventName, Flow, HookSecret};
use scrip_http::instant;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::names::{Happening, Sendable};

/// A customer's endpoint.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "webhookId": "wh_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "url": "https://yourdomain.com/webhooks/veriplus",
    "events": ["credits.low_balance", "credits.depleted"], "description": null, "status": "ACTIVE",
    "pausedReason": null, "deliveredThrough": 4, "consecutiveFailures": 0, "nextAttempt": null, "replay": null,
    "secretsUntil": [null], "createdAt": "2024-01-15T10:30:00Z"
}))]
pub(super) struct Webhook {
    /// `wh_…`
    webhook_id: String,
    /// Where events are sent.
    url: String,
    /// Which; empty for all of them.
    #[schema(value_type = Vec<Happening>)]
    events: Vec<EventName>,
    /// In your own words.
    description: Option<String>,
    /// ACTIVE; PAUSED: nothing is sent, and all that happens is kept for it; DISABLED: it has answered 410 Gone.
    status: &'static str,
    /// Why nothing is sent: owner, failing, gone.
    paused_reason: Option<&'static str>,
    /// The number of the last event that it is done with.
    delivered_through: u64,
    /// How many attempts at the next event have failed.
    consecutive_failures: u32,
    /// When the next attempt is due, a part of a second counted as a whole one; null for at once.
    #[serde(serialize_with = "by_then")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt: Option<DateTime<Utc>>,
    /// A range of events that is being sent once more.
    replay: Option<ReplayLeft>,
    /// Until when each secret signs, the newest first; null for good.
    #[serde(serialize_with = "each")]
    #[schema(value_type = Vec<Option<String>>)]
    secrets_until: Vec<Option<DateTime<Utc>>>,
    /// When it was made.
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
}

/// A webhook and the secret that signs its deliveries, which is not shown again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "webhookId": "wh_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "url": "https://yourdomain.com/webhooks/veriplus",
    "events": ["credits.low_balance", "credits.depleted"],
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=", "description": null, "status": "ACTIVE",
    "pausedReason": null, "deliveredThrough": 4, "consecutiveFailures": 0, "nextAttempt": null, "replay": null,
    "secretsUntil": [null], "createdAt": "2024-01-15T10:30:00Z"
}))]
pub(super) struct WebhookWithSecret {
    #[serde(flatten)]
    pub(super) webhook: Webhook,
    /// `whsec_…`: verify deliveries with it, by any library of Standard Webhooks. Null when an earlier answer
    /// has shown it; rotate it to be shown another.
    secret: Option<String>,
    /// true: the secret was shown before and is not shown again. Left out with the secret.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    secret_shown: bool,
}

impl WebhookWithSecret {
    /// The answer that shows the secret, if anybody still knows it.
    pub(super) fn new(webhook: Webhook, secret: Option<&HookSecret>) -> Self {
        let secret = secret.map(|secret| secret.reveal().to_owned());
        Self { webhook, secret_shown: secret.is_none(), secret }
    }

    /// The same request sent again.
    pub(super) fn again(webhook: Webhook) -> Self {
        Self::new(webhook, None)
    }
}

/// What is left of a range that is sent once more.
#[derive(Clone, Serialize, ToSchema)]
struct ReplayLeft {
    /// The number of the last event that was sent again, or the one before the first.
    after: u64,
    /// The number of the last that will be.
    through: u64,
}

/// One event on its way to one webhook.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "deliveryId": "del_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "eventId": "evt_01HM6QY8R0Z3V9Q2T5W7X8Y9ZB", "sequence": 5,
    "event": "credits.low_balance", "kind": "event", "status": "retrying", "attempt": 1, "attemptsMax": 10,
    "nextAttempt": "2024-01-15T10:30:05Z", "createdAt": "2024-01-15T10:30:00Z",
    "request": { "url": "https://yourdomain.com/webhooks/veriplus", "headers": { "webhook-id": "evt_01HM6QY8R0Z3V9Q2T5W7X8Y9ZB" }, "body": "{}" },
    "response": { "status": 500, "headers": {}, "body": "oh no" },
    "attempts": [{ "at": "2024-01-15T10:30:00Z", "durationMs": 81, "status": 500, "error": null }]
}))]
pub(super) struct Delivery {
    /// `del_…`, the same with every attempt.
    delivery_id: String,
    /// `evt_…`, the same however often it is sent.
    event_id: String,
    /// The event's number; 0 of a test.
    sequence: u64,
    /// What has happened.
    #[schema(value_type = Sendable)]
    event: String,
    /// Why it was sent: event, replay or test.
    kind: &'static str,
    /// succeeded; retrying; failed: it is not tried again by itself; superseded: it was being tried again when you
    /// paused the webhook, gave it another URL or other events, or had it go on elsewhere (`deliverAfter`, another
    /// range to replay). Where the event is still to be sent, that is a delivery of its own, from attempt 1.
    status: &'static str,
    /// The how manieth attempt was the last.
    attempt: usize,
    /// How many there are at most.
    attempts_max: u32,
    /// When the next is due, a part of a second counted as a whole one; null when none is.
    #[serde(serialize_with = "by_then")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt: Option<DateTime<Utc>>,
    /// When it was first sent.
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    /// What was sent last.
    request: DeliveryRequest,
    /// What was answered last; null when nothing was.
    response: Option<DeliveryResponse>,
    /// All attempts, the earliest first.
    attempts: Vec<DeliveryAttempt>,
}

/// What was sent.
#[derive(Serialize, ToSchema)]
struct DeliveryRequest {
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// What was answered.
#[derive(Serialize, ToSchema)]
struct DeliveryResponse {
    status: u16,
    headers: BTreeMap<String, String>,
    /// The first 4 KB.
    body: String,
}

/// One attempt.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeliveryAttempt {
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    duration_ms: u64,
    /// The HTTP status; null when nothing was answered.
    status: Option<u16>,
    /// Why nothing was answered.
    error: Option<String>,
}

/// Times are told in whole seconds: for an attempt the first by which it is due, so that whoever looks then does not
/// look too early.
#[expect(clippy::ref_option, reason = "serde hands a reference")]
fn by_then<S: Serializer>(at: &Option<DateTime<Utc>>, out: S) -> Result<S::Ok, S::Error> {
    let up = |at: DateTime<Utc>| {
        let second = at.trunc_subsecs(0);
        if second == at { at } else { second.checked_add_signed(TimeDelta::seconds(1)).unwrap_or(at) }
    };
    out.serialize_some(&at.map(up).as_ref().map(instant::text))
}

fn each<S: Serializer>(times: &[Option<DateTime<Utc>>], out: S) -> Result<S::Ok, S::Error> {
    out.collect_seq(times.iter().map(|at| at.as_ref().map(instant::text)))
}

impl Webhook {
    pub(super) fn of(webhook: &domain::Webhook, state: &DeliveryState, wall: DateTime<Utc>) -> Self {
        let (status, paused_reason) = match state.status {
            Flow::Active => ("ACTIVE", None),
            Flow::Paused => ("PAUSED", Some("owner")),
            Flow::Failing => ("PAUSED", Some("failing")),
            Flow::Gone => ("DISABLED", Some("gone")),
        };
        Self {
            webhook_id: webhook.id.to_string(),
            url: webhook.url.to_string(),
            events: webhook.events.iter().copied().collect(),
            description: webhook.description.as_ref().map(|words| words.as_str().to_owned()),
            status,
            paused_reason,
            delivered_through: state.through,
            consecutive_failures: state.failures,
            next_attempt: state.retry_at,
            replay: state.replay.map(|left| ReplayLeft { after: left.through, through: left.last }),
            secrets_until: webhook.current(wall).map(|secret| secret.until).collect(),
            created_at: webhook.created_at,
        }
    }
}

impl Delivery {
    pub(super) fn of(delivery: domain::Delivery) -> Self {
        let map = |headers: Vec<(String, String)>| headers.into_iter().collect();
        let attempts = delivery.attempts.into_iter().map(|attempt| DeliveryAttempt {
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
            status: match delivery.standing {
                DeliveryStanding::Succeeded => "succeeded",
                DeliveryStanding::Retrying => "retrying",
                DeliveryStanding::Failed => "failed",
                DeliveryStanding::Superseded => "superseded",
            },
            attempt: attempts.len(),
            attempts_max: delivery.kind.attempts_max(),
            next_attempt: delivery.next,
            created_at: delivery.created_at,
            request: DeliveryRequest {
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
