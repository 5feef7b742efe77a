//! API keys as callers see and order them.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    Actor, AllowedIps, ApiKey, ApiKeySecret, EntryId, KeyId, KeyStatus, Mode, OrgId, RateLimit, Reference,
    Scope,
};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use store::ListedKey;
use utoipa::ToSchema;

use super::rate_limit::RateLimitView;
use crate::timestamp::{self, Instant};
use crate::{ApiError, Reply};

/// What an API key and an operator's key have in common.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyView {
    /// `key_…`, which the key keeps when it is rolled; `superAdmin` in transactions of an operator.
    key_id: String,
    /// The key's name.
    name: Option<String>,
    /// The last four characters of the key.
    last4: String,
    /// active; expired: `expiresAt` has passed; revoked.
    #[schema(value_type = String)]
    status: KeyStatus,
    /// When the key was created.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    /// The id of the key that created it; null if that is not known.
    created_by: Option<String>,
    /// From when the key is refused; null for a key without an end.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<DateTime<Utc>>,
    /// When the key was revoked.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<DateTime<Utc>>,
    /// The day (UTC) on which the key was last used; null if it was never used.
    #[schema(value_type = Option<String>, format = Date)]
    last_used_at: Option<NaiveDate>,
    /// The addresses and ranges from which the key may be used; empty for all.
    #[schema(value_type = Vec<String>)]
    allowed_ips: AllowedIps,
    /// The key's previous secret while it is accepted after a roll; else null.
    previous_secret: Option<PreviousSecret>,
}

/// An API key.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyView {
    #[serde(flatten)]
    key: KeyView,
    /// The ledger that the key works on: live or test.
    #[schema(value_type = String)]
    mode: Mode,
    /// What the key may do.
    #[schema(value_type = Vec<String>)]
    scopes: BTreeSet<Scope>,
    /// How many requests the key may make; null for no limit.
    rate_limit: Option<RateLimitView>,
    /// When the key was paused because it spent far more than it used to; null while it is not paused.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    paused_at: Option<DateTime<Utc>>,
}

/// A key with its secret, which is shown once.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WithSecret<V> {
    #[serde(flatten)]
    about: V,
    /// The key itself. Keep it: only its hash is stored. Null if an earlier answer has shown it; roll the key if you do not
    /// have it.
    key: Option<String>,
    /// true if the key was shown before and is not shown again. Left out if the key is shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    secret_shown: bool,
}

/// The secret that a key had before it was rolled.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PreviousSecret {
    /// Its last four characters.
    last4: String,
    /// Until when it is accepted.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    accepted_until: DateTime<Utc>,
}

/// An API key to create.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "mode": "live", "name": "Billing service", "scopes": ["credits:read", "credits:consume"] }))]
pub struct NewApiKey {
    /// The ledger that the key works on: live or test.
    #[schema(value_type = String, example = "live")]
    mode: Mode,
    /// What the key may do: `credits:read`, `credits:consume`, `credits:purchase`, `credits:refund`, `settings:write`,
    /// `team:write`, and `dashboard`, which lets a live key work on a plan without API access. Default: `credits:read` and
    /// `credits:consume`.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<BTreeSet<Scope>>,
    /// The key's name, for people.
    #[serde(alias = "description")]
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Reference>,
    /// From when the key is refused; left out for a key without an end.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Instant>,
    /// The addresses and ranges from which the key may be used, at most 20, such as `203.0.113.7` or `203.0.113.0/24`; left
    /// out for all.
    #[schema(value_type = Option<Vec<String>>)]
    allowed_ips: Option<AllowedIps>,
    /// How many requests the key may make; left out for no limit.
    #[schema(value_type = Option<RateLimitView>)]
    rate_limit: Option<RateLimit>,
}

/// Who creates a key, and when.
#[derive(Clone, Copy, Debug)]
pub struct KeyOrigin {
    /// Who creates it.
    pub by: Actor,
    /// The request that creates it, from which its id is made.
    pub request: EntryId,
    /// When the request arrived.
    pub at: DateTime<Utc>,
}

/// The end of a key in a change of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiryField(pub Option<DateTime<Utc>>);

impl<'de> Deserialize<'de> for ExpiryField {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        match (text.as_str(), Instant::read(&text)) {
            ("never", _) => Ok(Self(None)),
            (_, Some(Instant(at))) => Ok(Self(Some(at))),
            (_, None) => Err(D::Error::custom("must be `never`, or a time such as 2024-01-15T10:30:00Z")),
        }
    }
}

impl ExpiryField {
    /// The end, if it is in the future.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] for a time that is not after `now`.
    pub fn after(self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, ApiError> {
        if self.0.is_some_and(|end| end <= now) {
            return Err(ApiError::field("expiresAt", "must be in the future; to end a key now, delete it"));
        }
        Ok(self.0)
    }
}

impl NewApiKey {
    /// The mode of the key's ledger.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The key to issue under this secret.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] without any scope, and for an end that is not in the future.
    pub fn key(self, org: OrgId, secret: &ApiKeySecret, origin: KeyOrigin) -> Result<ApiKey, ApiError> {
        let KeyOrigin { by, request, at } = origin;
        let scopes = self.scopes.unwrap_or_else(Scope::default_scopes);
        if scopes.is_empty() {
            return Err(ApiError::field("scopes", "must name at least one scope, or be left out"));
        }
        let expires_at = ExpiryField(self.expires_at.map(|Instant(end)| end)).after(at)?;
        let issued = ApiKey::new(KeyId::from(request), Some(org), scopes, secret, at);
        let allowed_ips = self.allowed_ips.unwrap_or_default();
        let (name, rate_limit) = (self.name, self.rate_limit);
        Ok(ApiKey { name, created_by: Some(by), expires_at, allowed_ips, rate_limit, ..issued })
    }
}

impl KeyView {
    /// A key as it is at `now`.
    #[must_use]
    pub fn of(listed: ListedKey, now: DateTime<Utc>) -> Self {
        let ListedKey { key, last_used, previous } = listed;
        Self {
            previous_secret: PreviousSecret::of(&key, previous, now),
            status: key.status(now),
            key_id: key.key_id.to_string(),
            name: key.name.map(|name| name.as_str().to_owned()),
            last4: key.last4,
            created_at: key.created_at,
            created_by: key.created_by.map(|by| by.to_string()),
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: last_used,
            allowed_ips: key.allowed_ips,
        }
    }
}

impl ApiKeyView {
    /// A key as it is at `now`.
    #[must_use]
    pub fn of(listed: ListedKey, now: DateTime<Utc>) -> Self {
        let (mode, scopes) = (listed.key.mode, listed.key.scopes.clone());
        let rate_limit = listed.key.rate_limit.map(RateLimitView::from);
        Self { mode, scopes, rate_limit, paused_at: listed.key.paused_at, key: KeyView::of(listed, now) }
    }
}

impl PreviousSecret {
    /// The secret that a key had before, if it is accepted at `now`.
    fn of(key: &ApiKey, previous: Option<ApiKey>, now: DateTime<Utc>) -> Option<Self> {
        let previous = previous.filter(|_| key.status(now) == KeyStatus::Active)?;
        let accepted_until = previous.rolled_until.filter(|end| now < *end)?;
        Some(Self { last4: previous.last4, accepted_until })
    }
}

impl<V: Clone + Serialize> WithSecret<V> {
    /// The answer that shows a key's secret, whose retries do not; without a secret, the answer of a retry.
    ///
    /// # Errors
    /// None in practice: every view can be written as JSON.
    pub fn reply(about: V, secret: Option<&ApiKeySecret>) -> Result<Reply, ApiError> {
        let again = Self { about: about.clone(), key: None, secret_shown: true };
        let Some(secret) = secret else { return Reply::created(&again, true) };
        let shown = Self { about, key: Some(secret.reveal().to_owned()), secret_shown: false };
        Reply::created(&shown, false)?.shown_once(&again)
    }
}
