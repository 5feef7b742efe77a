//! API keys: adding, finding and revoking them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::settings::key_cache::CachedKey;
use crate::settings::organisations::Settings;
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use domain::{ApiKey, ApiKeySecret, KeyId, OrgId, Plan};
use ports::Moment;

/// An API key that was found, and its organisation's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The key.
    pub key: ApiKey,
    /// The plan; `None` for an operator's key.
    pub plan: Option<Plan>,
}

#[derive(Serialize, Deserialize)]
struct IssuedKeyItem {
    hash: String,
}

impl Settings {
    /// Adds a key under its hash, unless it exists, revoked or not.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn add_key(&self, secret: &ApiKeySecret, key: &ApiKey) -> Result<(), Fault> {
        let hash = secret.hash();
        let Some(org) = key.org else {
            return self.table.put_new(with_key(&Key::Secret(&hash), key)?, "write a key").await.map(|_| ());
        };
        let issued = with_key(&Key::Issued(org, key.key_id), &IssuedKeyItem { hash: hash.clone() })?;
        let known = with_key(&Key::Secret(&hash), key)?;
        // Both or neither: a key that works and is not found by its id could not be revoked.
        self.table.put_all_new(vec![issued, known], "write a key").await
    }

    /// Issues a key of an organisation. If one with its id was issued before, returns that one; its secret is not
    /// stored and cannot be shown again.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn issue_key(
        &self,
        org: OrgId,
        secret: &ApiKeySecret,
        key: &ApiKey,
    ) -> Result<Option<ApiKey>, Fault> {
        self.add_key(secret, key).await?;
        let issued = self.table.get(&Key::Issued(org, key.key_id), "find an API key").await?;
        let gone = || Fault::corrupt("an API key", "it was issued and cannot be found");
        let IssuedKeyItem { hash } = decode("an issued key", issued.ok_or_else(gone)?)?;
        if hash == secret.hash() {
            return Ok(None);
        }
        let known = self.table.get(&Key::Secret(&hash), "read an API key").await?.ok_or_else(gone)?;
        decode("an API key", known).map(Some)
    }

    /// The key of a secret, at most a minute old by `moment.wall`, with its organisation's plan as it is at `moment.now`;
    /// `None` for a secret that was never issued.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn find_key(&self, secret: &ApiKeySecret, moment: Moment) -> Result<Option<KnownKey>, Fault> {
        let Some(CachedKey { key, plan }) = self.read_key(secret, moment.wall).await? else {
            return Ok(None);
        };
        let Some(plan) = plan else { return Ok(Some(KnownKey { key, plan: None })) };
        let catalogue = self.catalogue(moment.wall).await?;
        let plan = catalogue.plan(&plan, moment.now).cloned();
        let plan =
            plan.ok_or_else(|| Fault::corrupt("an organisation", "its plan is not in the catalogue"))?;
        Ok(Some(KnownKey { key, plan: Some(plan) }))
    }

    async fn read_key(&self, secret: &ApiKeySecret, wall: DateTime<Utc>) -> Result<Option<CachedKey>, Fault> {
        let hash = secret.hash();
        if let Some(cached) = self.keys.get(&hash, wall) {
            return Ok(Some(cached));
        }
        let Some(item) = self.table.get(&Key::Secret(&hash), "read an API key").await? else {
            return Ok(None);
        };
        let key: ApiKey = decode("an API key", item)?;
        let plan = match key.org {
            Some(org) => {
                let organisation = self.organisation(org).await?;
                let gone = || Fault::corrupt("an API key", "its organisation is gone");
                Some(organisation.ok_or_else(gone)?.plan)
            }
            None => None,
        };
        let found = CachedKey { key, plan };
        self.keys.put(hash, wall, found.clone());
        Ok(Some(found))
    }

    /// Revokes a key of an organisation and returns it; `None` when the organisation has no such key. A key that was
    /// revoked before keeps its time.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn revoke(&self, org: OrgId, key: KeyId, now: DateTime<Utc>) -> Result<Option<ApiKey>, Fault> {
        let issued = self.table.get(&Key::Issued(org, key), "find an API key").await?;
        let Some(issued) = issued else { return Ok(None) };
        let IssuedKeyItem { hash } = decode("an issued key", issued)?;
        let update = UpdateExpression::new("SET revokedAt = if_not_exists(revokedAt, :now)")
            .only_if("attribute_exists(pk)")
            .value(":now", AttributeValue::N(now.timestamp().to_string()));
        let revoked = self.table.update_and_get(&Key::Secret(&hash), update, "revoke an API key").await;
        self.keys.remove(&hash);
        revoked?.map(|item| decode("an API key", item)).transpose()
    }
}
