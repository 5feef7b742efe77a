//! Pauses of API keys that spend far more than they used to.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use crate::settings::change_log::ChangedSetting;
use crate::settings::issued_keys::IssuedKeyItem;
use crate::settings::key_changes::ChangedKey;
use crate::settings::organisations::Settings;
use crate::table::backoff::backoff;
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::key::Key;
use crate::table::requests::Write;
use domain::{ApiKey, Denial, KeyId, KeyPause, OrgId};

/// How often a key is changed again because another change was made first.
const ATTEMPTS_MAX: u32 = 32;

impl Settings {
    /// Pauses a key of an organisation, with both its secrets; functions notice it within five seconds. Returns whether it is
    /// paused. A key that its owner has resumed in the 24 hours before, that was revoked, or that does not exist, stays as it
    /// is.
    ///
    /// # Errors
    /// When the table does not answer; when others change the key too often at the same time.
    pub async fn pause_key(&self, org: OrgId, key: KeyId, now: DateTime<Utc>) -> Result<bool, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some((issued, known)) = self.key_of(Some(org), key).await? else { return Ok(false) };
            if known.paused_at.is_some() {
                // The earlier attempt may not have logged it.
                self.log_change(ChangedSetting::Organisation(org)).await?;
                return Ok(true);
            }
            if known.revoked_at.is_some() || known.was_resumed(now) {
                return Ok(false);
            }
            let pause = UpdateExpression::new("SET pausedAt = :now")
                .only_if("attribute_exists(pk)")
                .value(":now", seconds(now));
            if self.change_secrets(org, key, &issued, &pause).await? {
                return Ok(true);
            }
        }
        Err(Fault::Busy)
    }

    /// Ends the pause of a key, if `may` allows it for the key. A key that is not paused stays as it is.
    ///
    /// # Errors
    /// When the table does not answer; when others change the key too often at the same time.
    pub async fn resume_key(
        &self,
        org: OrgId,
        key: KeyId,
        now: DateTime<Utc>,
        may: impl Fn(&ApiKey) -> Result<(), Denial>,
    ) -> Result<ChangedKey, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some((issued, known)) = self.key_of(Some(org), key).await? else {
                return Ok(ChangedKey::Absent);
            };
            if known.revoked_at.is_some() {
                return Ok(ChangedKey::Revoked);
            }
            if let Err(denial) = may(&known) {
                return Ok(ChangedKey::Denied(denial));
            }
            let Some(paused_at) = known.paused_at else {
                if known.was_resumed(now) {
                    // The earlier attempt may not have logged it.
                    self.log_change(ChangedSetting::Organisation(org)).await?;
                }
                return Ok(ChangedKey::Changed(known.into()));
            };
            let pause = KeyPause { paused_at, resumed_at: now };
            let stored = serde_dynamo::to_attribute_value(pause);
            let stored = stored.map_err(|source| Fault::corrupt("a pause of a key", source))?;
            let resume = UpdateExpression::new("SET lastPause = :pause REMOVE pausedAt")
                .only_if("attribute_exists(pk)")
                .value(":pause", stored);
            if self.change_secrets(org, key, &issued, &resume).await? {
                let resumed = ApiKey { paused_at: None, last_pause: Some(pause), ..known };
                return Ok(ChangedKey::Changed(resumed.into()));
            }
        }
        Err(Fault::Busy)
    }

    /// Changes both secrets of a key in the same way, and logs it; `false` when another change was made first.
    async fn change_secrets(
        &self,
        org: OrgId,
        key: KeyId,
        issued: &IssuedKeyItem,
        update: &UpdateExpression,
    ) -> Result<bool, Fault> {
        let secrets = issued.secrets().map(|hash| Write::Update(Key::secret(hash), update.clone()));
        let writes = [issued.change(Some(org), key)].into_iter().chain(secrets).collect();
        if self.table.write_together(writes, "pause or resume an API key").await?.is_some() {
            return Ok(false);
        }
        self.log_change(ChangedSetting::Organisation(org)).await?;
        Ok(true)
    }
}

fn seconds(at: DateTime<Utc>) -> AttributeValue {
    AttributeValue::N(at.timestamp().to_string())
}
