//! API keys: adding and finding them.

use crate::settings::issued_keys::IssuedKeyItem;
use crate::settings::last_known::Known;
use crate::settings::organisations::Settings;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use domain::{ApiKey, ApiKeySecret, KeyId, OrganisationSwitches, Plan, PlanId, RateLimit};
use ports::Moment;

/// An API key that was found, and its organisation's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The key.
    pub key: ApiKey,
    /// The plan; `None` for an operator's key.
    pub plan: Option<Plan>,
    /// Whether its organisation was closed.
    pub is_closed: bool,
    /// How many requests all keys of its organisation together may make.
    pub rate_limit: Option<RateLimit>,
    /// What its organisation has switched on or off.
    pub switches: OrganisationSwitches,
    /// Whether both were read in the last minute. A request that changes settings needs a current key.
    pub is_current: bool,
}

/// An API key and the id of its organisation's plan. The catalogue has the plan as it is at each instant.
#[derive(Clone, Debug)]
pub(crate) struct CachedKey {
    pub(crate) key: ApiKey,
    pub(crate) plan: Option<PlanId>,
    /// Whether its organisation was closed.
    pub(crate) is_closed: bool,
    /// How many requests all keys of its organisation together may make.
    pub(crate) rate_limit: Option<RateLimit>,
    /// What its organisation has switched on or off.
    pub(crate) switches: OrganisationSwitches,
}

impl Settings {
    /// Adds a key under its hash, unless it exists, revoked or not.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn add_key(&self, secret: &ApiKeySecret, key: &ApiKey) -> Result<(), Fault> {
        let hash = secret.hash();
        let issued = with_key(&Key::issued(key.org, key.key_id), &IssuedKeyItem::uncounted(hash.clone()))?;
        let known = with_key(&Key::secret(&hash), key)?;
        // Both or neither: a key that works and is not found by its id could not be revoked.
        self.table.put_all_new(vec![issued, known], "write a key").await?;
        self.unknown_keys.remove(&hash);
        Ok(())
    }

    /// An operator's key by its id; `None` when there is none, or it was issued before keys could be found by their ids.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn operator_key(&self, key: KeyId) -> Result<Option<ApiKey>, Fault> {
        Ok(self.key_of(None, key).await?.map(|(_, key)| key))
    }

    /// The key of a secret, as others have changed it at most five seconds before `moment.wall`, or at most 15 minutes while
    /// the table does not answer, with its organisation's plan as it is at `moment.now`; `None` for a secret that was never
    /// issued, or was issued in the last five seconds and asked for before.
    ///
    /// # Errors
    /// When the table does not answer and the key was not read in the last 15 minutes.
    pub async fn find_key(&self, secret: &ApiKeySecret, moment: Moment) -> Result<Option<KnownKey>, Fault> {
        self.find_hashed_key(&secret.hash(), moment).await
    }

    /// The key of a secret with this hash, as [`Settings::find_key`].
    pub(crate) async fn find_hashed_key(
        &self,
        hash: &str,
        moment: Moment,
    ) -> Result<Option<KnownKey>, Fault> {
        let (hash, wall) = (hash.to_owned(), moment.wall);
        if self.unknown_keys.contain(&hash, wall) {
            return Ok(None);
        }
        self.forget_changed(self.keys.read_at(&hash), wall).await;
        let Some(known) = self.keys.get(&hash, wall, self.read_key(&hash, moment)).await? else {
            self.unknown_keys.add(hash, wall);
            return Ok(None);
        };
        let Known { value: CachedKey { key, plan, is_closed, rate_limit, switches }, is_current, .. } =
            self.log.note(known, "an API key", wall);
        let Some(plan) = plan else {
            return Ok(Some(KnownKey { key, plan: None, is_closed, rate_limit, switches, is_current }));
        };
        let Known { value: catalogue, is_current: is_catalogue_current, .. } =
            self.known_catalogue(wall).await?;
        let plan = catalogue.plan(&plan, moment.now).cloned();
        let plan =
            plan.ok_or_else(|| Fault::corrupt("an organisation", "its plan is not in the catalogue"))?;
        let is_current = is_current && is_catalogue_current;
        Ok(Some(KnownKey { key, plan: Some(plan), is_closed, rate_limit, switches, is_current }))
    }

    async fn read_key(&self, hash: &str, moment: Moment) -> Result<Option<CachedKey>, Fault> {
        let Some(item) = self.table.get(&Key::secret(hash), "read an API key").await? else {
            return Ok(None);
        };
        let key: ApiKey = decode("an API key", item)?;
        let Some(org) = key.org else {
            let switches = OrganisationSwitches::default();
            return Ok(Some(CachedKey { key, plan: None, is_closed: false, rate_limit: None, switches }));
        };
        let organisation = self.current_organisation(org).await?;
        let organisation =
            organisation.ok_or_else(|| Fault::corrupt("an API key", "its organisation is gone"))?;
        let (plan, is_closed) = (Some(organisation.plan.clone()), organisation.closed_at.is_some());
        let (rate_limit, switches) = (organisation.rate_limit, organisation.switches());
        self.organisations.put(&org, moment.wall, organisation);
        Ok(Some(CachedKey { key, plan, is_closed, rate_limit, switches }))
    }
}
