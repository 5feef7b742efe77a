use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::{EventName, HookUrl, Reference, WebhookId};

/// A customer's endpoint, as its owner has set it (contract: "Webhook deliveries").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its name for callers.
    pub id: WebhookId,
    /// Where events are sent.
    pub url: HookUrl,
    /// Which; all of them when there are none.
    pub events: BTreeSet<EventName>,
    /// In words, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Reference>,
    /// What deliveries are signed with, the newest first.
    pub secrets: Vec<SealedSecret>,
    /// Whether it has had another secret than the one that it was made with.
    #[serde(default)]
    pub rotated: bool,
    /// When it was made.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created_at: DateTime<Utc>,
    /// Grows with every change.
    pub revision: u64,
}

/// A secret as it is stored: encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// The cipher text, in base64.
    pub sealed: String,
    /// Until when it signs; for good when there is no time.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "chrono::serde::ts_seconds_option")]
    pub until: Option<DateTime<Utc>>,
}

impl Webhook {
    /// How many an account may have.
    pub const COUNT_MAX: usize = 20;
    /// How many secrets may sign at a time.
    pub const SECRETS_MAX: usize = 5;
    /// For how many seconds a secret that was replaced goes on signing, at most and when nothing is said.
    pub const OVERLAP_SECONDS: u32 = 24 * 60 * 60;

    /// Whether its owner wants to hear of that.
    #[must_use]
    pub fn wants(&self, event: &str) -> bool {
        self.events.is_empty() || self.events.iter().any(|name| name.as_str() == event)
    }

    /// The secrets that sign at `now`, the newest first.
    pub fn current(&self, now: DateTime<Utc>) -> impl Iterator<Item = &SealedSecret> {
        self.secrets.iter().filter(move |secret| secret.until.is_none_or(|until| now < until))
    }

    /// With a new secret; those before it go on signing for so many seconds. `None` while too many do.
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
