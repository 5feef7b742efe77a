//! API keys: adding, finding and revoking them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::settings::last_known::Known;
use crate::settings::organisations::Settings;
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use domain::{ApiKey, ApiKeySecret, KeyId, OrgId, Plan, PlanId};
use ports::Moment;

/// An API key that was found, and its organisation's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The key.
    pub key: ApiKey,
    /// The plan; `None` for an operator's key.
    pub plan: Option<Plan>,
    /// Whether both were read in the last minute. A request that changes settings needs a current key.
    pub is_current: bool,
}

/// An API key and the id of its organisation's plan. The catalogue has the plan as it is at each instant.
#[derive(Clone, Debug)]
pub(crate) struct CachedKey {
    pub(crate) key: ApiKey,
    pub(crate) plan: Option<PlanId>,
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
        let place = match key.org {
            Some(org) => Key::Issued(org, key.key_id),
            None => Key::IssuedOperator(key.key_id),
        };
        let issued = with_key(&place, &IssuedKeyItem { hash: hash.clone() })?;
        let known = with_key(&Key::Secret(&hash), key)?;
        // Both or neither: a key that works and is not found by its id could not be revoked.
        self.table.put_all_new(vec![issued, known], "write a key").await
    }

    /// An operator's key by its id; `None` when there is none, or it was issued before keys could be found by their ids.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn operator_key(&self, key: KeyId) -> Result<Option<ApiKey>, Fault> {
        let issued = self.table.get(&Key::IssuedOperator(key), "find an API key").await?;
        let Some(issued) = issued else { return Ok(None) };
        let IssuedKeyItem { hash } = decode("an issued key", issued)?;
        let known = self.table.get(&Key::Secret(&hash), "read an API key").await?;
        known.map(|known| decode("an API key", known)).transpose()
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

    /// The key of a secret, at most a minute old by `moment.wall` and at most 15 minutes while the table does not answer,
    /// with its organisation's plan as it is at `moment.now`; `None` for a secret that was never issued.
    ///
    /// # Errors
    /// When the table does not answer and the key was not read in the last 15 minutes.
    pub async fn find_key(&self, secret: &ApiKeySecret, moment: Moment) -> Result<Option<KnownKey>, Fault> {
        let (hash, wall) = (secret.hash(), moment.wall);
        let Some(known) = self.keys.get(&hash, wall, self.read_key(&hash, wall)).await? else {
            return Ok(None);
        };
        let Known { value: CachedKey { key, plan }, is_current, .. } =
            self.log.note(known, "an API key", wall);
        let Some(plan) = plan else { return Ok(Some(KnownKey { key, plan: None, is_current })) };
        let Known { value: catalogue, is_current: is_catalogue_current, .. } =
            self.known_catalogue(wall).await?;
        let plan = catalogue.plan(&plan, moment.now).cloned();
        let plan =
            plan.ok_or_else(|| Fault::corrupt("an organisation", "its plan is not in the catalogue"))?;
        Ok(Some(KnownKey { key, plan: Some(plan), is_current: is_current && is_catalogue_current }))
    }

    async fn read_key(&self, hash: &str, wall: DateTime<Utc>) -> Result<Option<CachedKey>, Fault> {
        let Some(item) = self.table.get(&Key::Secret(hash), "read an API key").await? else {
            return Ok(None);
        };
        let key: ApiKey = decode("an API key", item)?;
        let Some(org) = key.org else { return Ok(Some(CachedKey { key, plan: None })) };
        let organisation = self.current_organisation(org).await?;
        let organisation =
            organisation.ok_or_else(|| Fault::corrupt("an API key", "its organisation is gone"))?;
        let plan = Some(organisation.plan.clone());
        self.organisations.put(&org, wall, organisation);
        Ok(Some(CachedKey { key, plan }))
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
        self.keys.forget(|known, _| *known == hash);
        revoked?.map(|item| decode("an API key", item)).transpose()
    }
}
