//! API keys as they are stored, and who calls with them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, Actor, AllowedIps, ApiKeySecret, Denial, KeyId, Mode, OperatorRole, OrgId, Plan, RateLimit,
    Reference, Scope,
};

/// An API key as stored: everything but the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// Its public id, which it keeps when it is rolled.
    pub key_id: KeyId,
    /// Its organisation; `None` for an operator's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
    /// The mode of its ledger.
    pub mode: Mode,
    /// Its scopes. An operator's key has none: its role says what it may do.
    pub scopes: BTreeSet<Scope>,
    /// The role of an operator's key; `None` for the key of an organisation, and for operators' keys that were issued
    /// before there were roles: they are owners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<OperatorRole>,
    /// The last four characters, by which people recognise it.
    pub last4: String,
    /// The time when it was issued.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created_at: DateTime<Utc>,
    /// The key that created it; `None` if it was created before this was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Actor>,
    /// The time from which it is refused, chosen by its owner; `None` for a key without an end.
    #[serde(with = "chrono::serde::ts_seconds_option", default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The time when it was revoked.
    #[serde(with = "chrono::serde::ts_seconds_option", default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
    /// The time from which this secret of it is refused, because the key was rolled; `None` for its newest secret.
    #[serde(with = "chrono::serde::ts_seconds_option", default, skip_serializing_if = "Option::is_none")]
    pub rolled_until: Option<DateTime<Utc>>,
    /// When it was paused because it spent far more than it used to; `None` while it is not.
    #[serde(with = "chrono::serde::ts_seconds_option", default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<DateTime<Utc>>,
    /// The last pause that its owner has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pause: Option<KeyPause>,
    /// The addresses from which it may be used.
    #[serde(default, skip_serializing_if = "AllowedIps::is_empty")]
    pub allowed_ips: AllowedIps,
    /// How many requests it may make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Its name, for people.
    #[serde(rename = "description", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Reference>,
}

/// A pause of a key that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyPause {
    /// When the key was paused.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub paused_at: DateTime<Utc>,
    /// When its owner resumed it.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub resumed_at: DateTime<Utc>,
}

/// For how many hours a key that was resumed is not paused again.
const PAUSE_HOURS: i64 = 24;

/// A change of a key. What is `None` keeps its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiKeyChange {
    /// Its name.
    pub name: Option<Reference>,
    /// Its scopes.
    pub scopes: Option<BTreeSet<Scope>>,
    /// Its role, for an operator's key.
    pub role: Option<OperatorRole>,
    /// Its end; `Some(None)` for none.
    pub expires_at: Option<Option<DateTime<Utc>>>,
    /// The addresses from which it may be used.
    pub allowed_ips: Option<AllowedIps>,
    /// How many requests it may make; `Some(None)` for no limit.
    pub rate_limit: Option<Option<RateLimit>>,
}

/// Whether a key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStatus {
    /// It works.
    Active,
    /// Its end has passed.
    Expired,
    /// It was revoked.
    Revoked,
}

/// The authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// An organisation.
    Organisation {
        /// The key's ledger.
        account: AccountId,
        /// The key, or the member who has signed in.
        by: Actor,
        /// What it may do.
        scopes: BTreeSet<Scope>,
    },
    /// An operator of the service.
    Operator {
        /// The key.
        key: KeyId,
        /// Its role.
        role: OperatorRole,
    },
}

impl ApiKey {
    /// A key that is issued at `at`, without an end, a name or a list of addresses. `org` is `None` for an operator's key.
    #[must_use]
    pub fn new(
        key_id: KeyId,
        org: Option<OrgId>,
        scopes: BTreeSet<Scope>,
        secret: &ApiKeySecret,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            key_id,
            org,
            mode: secret.mode(),
            scopes,
            role: None,
            last4: secret.last4(),
            created_at: at,
            created_by: None,
            expires_at: None,
            revoked_at: None,
            rolled_until: None,
            paused_at: None,
            last_pause: None,
            allowed_ips: AllowedIps::default(),
            rate_limit: None,
            name: None,
        }
    }

    /// Authenticates a request with this key at `now` from the address `from`; `plan` is that of its organisation. Test
    /// keys work on every plan. The previous secret of a key that was rolled manages no keys: it has no scope `team:write`,
    /// and an owner's has the role `money`.
    ///
    /// # Errors
    /// [`Denial::Revoked`], then [`Denial::Rolled`], [`Denial::Expired`], [`Denial::NoApiAccess`] and
    /// [`Denial::Address`].
    pub fn admit(
        &self,
        plan: Option<&Plan>,
        from: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<Principal, Denial> {
        let has_passed = |end: Option<DateTime<Utc>>| end.is_some_and(|end| end <= now);
        if has_passed(self.revoked_at) {
            return Err(Denial::Revoked);
        }
        if has_passed(self.rolled_until) {
            return Err(Denial::Rolled);
        }
        if has_passed(self.expires_at) {
            return Err(Denial::Expired);
        }
        let works_on_every_plan = self.mode == Mode::Test || self.scopes.contains(&Scope::Dashboard);
        let has_access = works_on_every_plan || plan.is_some_and(|plan| plan.api_access);
        if self.org.is_some() && !has_access {
            return Err(Denial::NoApiAccess);
        }
        if !self.allowed_ips.admit(from) {
            return Err(Denial::Address(from));
        }
        // A secret that is on its way out manages no keys: its holder could give itself another one.
        let is_outgoing = self.rolled_until.is_some();
        let Some(org) = self.org else {
            let role = self.operator_role();
            let role = if is_outgoing && role == OperatorRole::Owner { OperatorRole::Money } else { role };
            return Ok(Principal::Operator { key: self.key_id, role });
        };
        let account = AccountId { org, mode: self.mode };
        let mut scopes = self.scopes.clone();
        if is_outgoing {
            scopes.remove(&Scope::TeamWrite);
        }
        Ok(Principal::Organisation { account, by: self.key_id.into(), scopes })
    }

    /// Whether its owner has resumed it in the 24 hours before `now`. It is not paused again then.
    #[must_use]
    pub fn was_resumed(&self, now: DateTime<Utc>) -> bool {
        let hours = self.last_pause.map(|pause| now.signed_duration_since(pause.resumed_at).num_hours());
        hours.is_some_and(|hours| hours < PAUSE_HOURS)
    }

    /// The role of an operator's key.
    #[must_use]
    pub fn operator_role(&self) -> OperatorRole {
        self.role.unwrap_or(OperatorRole::Owner)
    }

    /// Whether it is an operator's key that can always manage the others: an owner's without an end, which may be used from
    /// every address.
    #[must_use]
    pub fn is_lasting_owner(&self) -> bool {
        let has_end = self.revoked_at.is_some() || self.expires_at.is_some();
        let is_limited = has_end || !self.allowed_ips.is_empty();
        self.org.is_none() && self.operator_role() == OperatorRole::Owner && !is_limited
    }

    /// Whether it works at `now`, whatever its plan and the caller's address.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> KeyStatus {
        let has_passed = |end: Option<DateTime<Utc>>| end.is_some_and(|end| end <= now);
        match (has_passed(self.revoked_at), has_passed(self.expires_at)) {
            (true, _) => KeyStatus::Revoked,
            (false, true) => KeyStatus::Expired,
            (false, false) => KeyStatus::Active,
        }
    }

    /// Whether a caller with the scopes `own` may create this key, change it, or have a new secret of it: only if it has
    /// every scope of it. Otherwise a key could get more rights than it has.
    ///
    /// # Errors
    /// [`Denial::CannotGive`] with the first scope that the caller lacks.
    pub fn is_within(&self, own: &BTreeSet<Scope>) -> Result<(), Denial> {
        self.scopes.difference(own).next().map_or(Ok(()), |lacking| Err(Denial::CannotGive(*lacking)))
    }

    /// The key after a change.
    #[must_use]
    pub fn changed(self, change: ApiKeyChange) -> Self {
        let ApiKeyChange { name, scopes, role, expires_at, allowed_ips, rate_limit } = change;
        Self {
            name: name.or(self.name),
            scopes: scopes.unwrap_or(self.scopes),
            role: role.or(self.role),
            expires_at: expires_at.unwrap_or(self.expires_at),
            allowed_ips: allowed_ips.unwrap_or(self.allowed_ips),
            rate_limit: rate_limit.unwrap_or(self.rate_limit),
            ..self
        }
    }
}
