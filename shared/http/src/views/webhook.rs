//! Webhooks as callers see them.

use chrono::{DateTime, Utc};
use domain::{DeliveryState, EventName, WebhookStatus};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::event_names::Happening;
use super::on_failure::OnFailureView;
use crate::timestamp;

/// A customer's endpoint.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "webhookId": "wh_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "url": "https://yourdomain.com/webhooks/veriplus",
    "events": ["credits.low_balance", "credits.depleted"], "description": null, "status": "ACTIVE",
    "pausedReason": null, "onFailure": { "action": "block", "afterAttempts": null }, "deliveredThrough": 4,
    "consecutiveFailures": 0, "nextAttempt": null, "skipped": null, "replay": null, "secretsUntil": [null], "createdAt": "2024-01-15T10:30:00Z"
}))]
pub struct WebhookView {
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
    #[serde(serialize_with = "timestamp::rounded_up")]
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

/// Events that an endpoint did not accept and that were skipped. The log of deliveries shows each with the status
/// `skipped`.
#[derive(Clone, Debug, Serialize, ToSchema)]
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
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ReplayLeft {
    /// The number of the last replayed event, or the number before the first.
    after: u64,
    /// The number of the last event of the range.
    through: u64,
}

fn each<S: Serializer>(times: &[Option<DateTime<Utc>>], out: S) -> Result<S::Ok, S::Error> {
    out.collect_seq(times.iter().map(|at| at.as_ref().map(timestamp::text)))
}

impl WebhookView {
    /// A webhook and its delivery state.
    #[must_use]
    pub fn of(webhook: &domain::Webhook, state: &DeliveryState, wall: DateTime<Utc>) -> Self {
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
