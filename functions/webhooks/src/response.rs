//! Webhooks with their secrets, and after a change, as callers see them.

use domain::WebhookSecret;
use scrip_http::WebhookView;
use serde::Serialize;
use utoipa::ToSchema;

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
