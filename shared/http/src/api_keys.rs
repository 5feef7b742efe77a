//! What requests about API keys and about operators' keys have in common.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{ApiKey, KeyId};
use serde::Deserialize;
use store::{ChangedKey, IssuedKey, RolledKey, RolledSecrets};
use utoipa::ToSchema;

use super::{ApiError, PathId};

/// The longest time for which the previous secret is accepted: a week.
const GRACE_SECONDS_MAX: u32 = 604_800;

/// The time for which the previous secret is accepted if the caller names none: a day.
const GRACE_SECONDS: u32 = 86_400;

const REVOKED: ApiError = ApiError::Conflict("this key was revoked, and stays so; create another one");

/// How a key is rolled.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "graceSeconds": 86400 }))]
pub struct RollOptions {
    /// For how many seconds the previous secret is still accepted, 0 to 604800; a day if left out. Send 0 if the key may
    /// have leaked.
    #[schema(maximum = 604_800)]
    grace_seconds: Option<u32>,
}

impl RollOptions {
    /// Until when the previous secret is accepted.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] for more than a week.
    pub fn until(self, now: DateTime<Utc>) -> Result<DateTime<Utc>, ApiError> {
        let grace = self.grace_seconds.unwrap_or(GRACE_SECONDS);
        if GRACE_SECONDS_MAX < grace {
            return Err(ApiError::field("graceSeconds", "must be a whole number from 0 to 604800"));
        }
        Ok(now.checked_add_signed(TimeDelta::seconds(grace.into())).unwrap_or(now))
    }
}

/// The key that was issued, and whether it has the secret of this request.
///
/// # Errors
/// [`ApiError::Conflict`] if there are too many keys.
pub fn issued_key(outcome: IssuedKey) -> Result<(ApiKey, bool), ApiError> {
    match outcome {
        IssuedKey::New(key) => Ok((*key, true)),
        IssuedKey::Known(key) => Ok((*key, false)),
        IssuedKey::TooMany => Err(ApiError::Conflict(
            "there are 1,000 keys that are not revoked; revoke some that are not used",
        )),
    }
}

/// The key after a change of it.
///
/// # Errors
/// [`ApiError::NotFound`], [`ApiError::Conflict`] for a revoked key and for the last owner's, [`ApiError::Denied`].
pub fn changed_key(outcome: ChangedKey) -> Result<ApiKey, ApiError> {
    match outcome {
        ChangedKey::Changed(key) => Ok(*key),
        ChangedKey::Revoked => Err(REVOKED),
        ChangedKey::Denied(denial) => Err(denial.into()),
        ChangedKey::LastOwner => Err(ApiError::Conflict(
            "this is the last owner's key without an end and a list of addresses; create another one with the role \
             `owner` first",
        )),
        ChangedKey::Absent => Err(KeyId::NOT_FOUND),
    }
}

/// The key after a roll, and whether it has the secret of this request.
///
/// # Errors
/// As [`changed_key`].
pub fn rolled_key(outcome: RolledKey) -> Result<(RolledSecrets, bool), ApiError> {
    match outcome {
        RolledKey::Rolled(rolled) => Ok((*rolled, true)),
        RolledKey::Before(key) => Ok((RolledSecrets { key: *key, previous: None }, false)),
        RolledKey::Revoked => Err(REVOKED),
        RolledKey::Denied(denial) => Err(denial.into()),
        RolledKey::Absent => Err(KeyId::NOT_FOUND),
    }
}
