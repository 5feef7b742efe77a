//! A webhook: a customer's endpoint and its settings.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::{EventName, OnFailure, Reference, WebhookId, WebhookUrl};

/// A webhook: a customer's endpoint and its settings (contract: "Webhook deliveries").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// The URL that events are sent to.
    pub url: WebhookUrl,
    /// The events that it subscribes to; all events when empty.
    pub events: BTreeSet<EventName>,
    /// A free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Reference>,
    /// What follows when the endpoint does not accept an event.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// The secrets that sign deliveries, the newest first.
    pub secrets: Vec<SealedSecret>,
    /// Whether its secret was ever rotated.
    #[serde(default)]
    pub rotated: bool,
    /// The creation time.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created_at: DateTime<Utc>,
    /// Incremented with every change.
    pub revision: u64,
}

/// An encrypted secret, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// The cipher text, in base64.
    pub sealed: String,
    /// The time until which it signs; `None` for no end.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "chrono::serde::ts_seconds_option")]
    pub until: Option<DateTime<Utc>>,
}

impl Webhook {
    /// The maximum number of webhooks of one account.
    pub const COUNT_MAX: usize = 20;
    /// The maximum number of secrets that sign at the same time.
    pub const SECRETS_MAX: usize = 5;
    /// The default and maximum number of seconds in which a rotated secret still signs.
    pub const OVERLAP_SECONDS: u32 = 24 * 60 * 60;

    /// Whether it subscribes to this event.
    #[must_use]
    pub fn is_subscribed_to(&self, event: &str) -> bool {
        self.events.is_empty() || self.events.iter().any(|name| name.as_str() == event)
    }

    /// The secrets that sign at `now`, the newest first.
    pub fn current(&self, now: DateTime<Utc>) -> impl Iterator<Item = &SealedSecret> {
        self.secrets.iter().filter(move |secret| secret.until.is_none_or(|until| now < until))
    }

    /// The webhook with a new secret; earlier ones still sign for `overlap_seconds`. `None` when too many would
    /// sign.
    #[must_use]
    pub fn rotated(&self, sealed: String, overlap_seconds: u32, now: DateTime<Utc>) -> Option<Self> {
        let overlap = Duration::try_seconds(overlap_seconds.into()).unwrap_or_default();
        let until = now.checked_add_signed(overlap);
        let earlier = self.current(now).map(|secret| SealedSecret {
            sealed: secret.sealed.clone(),
            until: secret.until.or(until).min(until),
        });
        let earlier = earlier.filter(|secret| secret.until.is_none_or(|until| now < until));
        let secrets: Vec<_> = std::iter::once(SealedSecret { sealed, until: None }).chain(earlier).collect();
        (secrets.len() <= Self::SECRETS_MAX).then(|| Self { secrets, rotated: true, ..self.clone() })
    }
}
