//! Organisations and their terms.

use std::sync::Arc;

use aws_sdk_dynamodb::Config;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::settings::api_keys::CachedKey;
use crate::settings::change_log::{ChangeLog, ChangedSetting};
use crate::settings::key_use::KeyUses;
use crate::settings::known_members::MemberKey;
use crate::settings::last_known::{LastKnown, Refresh};
use crate::settings::outage::OutageLog;
use crate::settings::rate_limits::RateSlabs;
use crate::settings::signed_in_members::CachedMember;
use crate::settings::snapshot::Catalogue;
use crate::settings::unknown::Unknown;
use crate::table::attribute::{number, text};
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::item::decode;
use crate::table::key::Key;
use crate::table::requests::Table;
use domain::{
    Allowance, Currency, Metadata, OrgId, OrganisationSwitches, PlanId, RateLimit, Reference, RunawayAction,
    SignInOwner, SignIns, SpendingLimit,
};

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Organisation {
    /// Its id.
    pub org: OrgId,
    /// Its name.
    pub name: String,
    /// The operator's own id of it, by which it is found too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<Reference>,
    /// The operator's own key and value pairs.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// Its subscription plan.
    pub plan: PlanId,
    /// Its credits a month: the plan's, or a negotiated number.
    pub allowance: Allowance,
    /// Its id at the payment provider; `None` before its first purchase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The currency in which it is billed.
    pub currency: Currency,
    /// The limit for its purchases of a day, if an operator has set one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spending_limit: Option<SpendingLimit>,
    /// Whether its own keys may change to a plan that costs more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub self_service_plans: bool,
    /// How many requests all its keys together may make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Whether a `memberId` of a request must be the id of a present member.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_known_members: bool,
    /// Whether larger budgets may be asked for; `None` where the organisation has never set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_requests: Option<bool>,
    /// What is done about an API key that spends far more than it used to; `None` where the organisation has never set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runaway_keys: Option<RunawayAction>,
    /// When it was opened.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created_at: DateTime<Utc>,
    /// When it was closed; `None` while it is open.
    #[serde(with = "chrono::serde::ts_seconds_option", default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<DateTime<Utc>>,
    /// Whether it is found by its name. Older organisations are not, until they were listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_indexed: bool,
}

impl Organisation {
    /// An organisation that is opened at `at`, without anything that an operator may add to it.
    #[must_use]
    pub fn new(org: OrgId, name: &str, plan: PlanId, allowance: Allowance, at: DateTime<Utc>) -> Self {
        Self {
            org,
            name: name.to_owned(),
            external_id: None,
            metadata: Metadata::default(),
            plan,
            allowance,
            customer: None,
            currency: Currency::GBP,
            spending_limit: None,
            self_service_plans: false,
            rate_limit: None,
            require_known_members: false,
            budget_requests: None,
            runaway_keys: None,
            created_at: at,
            closed_at: None,
            is_indexed: true,
        }
    }

    /// The limit for its purchases of a day; a default by its currency where no operator has set one.
    #[must_use]
    pub fn may_spend(&self) -> SpendingLimit {
        self.spending_limit.unwrap_or_else(|| SpendingLimit::of(self.currency))
    }

    /// What it has switched on or off.
    #[must_use]
    pub fn switches(&self) -> OrganisationSwitches {
        let usual = OrganisationSwitches::default();
        OrganisationSwitches {
            require_known_members: self.require_known_members,
            budget_requests: self.budget_requests.unwrap_or(usual.budget_requests),
            runaway_keys: self.runaway_keys.unwrap_or(usual.runaway_keys),
        }
    }
}

/// Organisations, API keys and the catalogue: one table, read through small caches. While the table does not answer,
/// reads return what was read in the last 15 minutes, unless their name says otherwise.
#[derive(Debug)]
pub struct Settings {
    pub(crate) table: Table,
    pub(crate) catalogue: LastKnown<(), Arc<Catalogue>>,
    /// By the hashes of their secrets.
    pub(crate) keys: LastKnown<String, CachedKey>,
    pub(crate) organisations: LastKnown<OrgId, Organisation>,
    /// The switches of those for which operators act.
    pub(crate) switches: LastKnown<OrgId, OrganisationSwitches>,
    /// Members who were not removed.
    pub(crate) members: LastKnown<MemberKey, ()>,
    pub(crate) unknown_members: Unknown<MemberKey>,
    pub(crate) external_ids: LastKnown<String, OrgId>,
    /// Members in whose sessions requests were made.
    pub(crate) signed_in_members: LastKnown<MemberKey, CachedMember>,
    pub(crate) sign_ins: LastKnown<SignInOwner, Arc<SignIns>>,
    /// By the hashes of secrets that were not found.
    pub(crate) unknown_keys: Unknown<String>,
    /// By owner, id and hash.
    pub(crate) unknown_sessions: Unknown<String>,
    pub(crate) key_uses: KeyUses,
    pub(crate) rate_slabs: RateSlabs,
    pub(crate) changes: ChangeLog,
    pub(crate) log: OutageLog,
}

impl Settings {
    /// Settings kept in `table`.
    #[must_use]
    pub fn new(config: &Config, table: impl Into<String>) -> Self {
        Self {
            table: Table::new(config, table),
            catalogue: LastKnown::new(Refresh::WithinAMinute),
            keys: LastKnown::new(Refresh::WithinAMinute),
            organisations: LastKnown::new(Refresh::Always),
            switches: LastKnown::new(Refresh::WithinAMinute),
            members: LastKnown::new(Refresh::WithinAMinute),
            unknown_members: Unknown::default(),
            external_ids: LastKnown::new(Refresh::WithinAMinute),
            signed_in_members: LastKnown::new(Refresh::WithinAMinute),
            sign_ins: LastKnown::new(Refresh::WithinAMinute),
            unknown_keys: Unknown::default(),
            unknown_sessions: Unknown::default(),
            key_uses: KeyUses::default(),
            rate_slabs: RateSlabs::default(),
            changes: ChangeLog::default(),
            log: OutageLog::default(),
        }
    }

    /// An organisation as it is now; as last read, at most 15 minutes ago by `wall`, while the table does not answer.
    ///
    /// # Errors
    /// When the table does not answer and the organisation was not read in the last 15 minutes.
    pub async fn organisation(&self, org: OrgId, wall: DateTime<Utc>) -> Result<Option<Organisation>, Fault> {
        let known = self.organisations.get(&org, wall, self.current_organisation(org)).await?;
        Ok(known.map(|known| self.log.note(known, "an organisation", wall).value))
    }

    /// What an organisation has switched on or off, as others have changed it at most five seconds before `wall`; `None` when
    /// there is no such organisation. One that is known is read again once a minute, as every setting is.
    ///
    /// # Errors
    /// When the table does not answer and the organisation is not known.
    pub async fn switches(
        &self,
        org: OrgId,
        wall: DateTime<Utc>,
    ) -> Result<Option<OrganisationSwitches>, Fault> {
        self.forget_changed(self.switches.read_at(&org), wall).await;
        let read = async { Ok(self.current_organisation(org).await?.map(|known| known.switches())) };
        Ok(self.switches.get(&org, wall, read).await?.map(|known| known.value))
    }

    /// An organisation as it is now. A request that changes settings decides on this.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn current_organisation(&self, org: OrgId) -> Result<Option<Organisation>, Fault> {
        let item = self.table.get(&Key::organisation(org), "read an organisation").await?;
        item.map(|item| decode("an organisation", item)).transpose()
    }

    /// Saves an organisation's id at the payment provider, unless it has one; returns the stored id.
    ///
    /// # Errors
    /// When the table does not answer; when there is no such organisation.
    pub async fn add_customer(&self, org: OrgId, customer: &str) -> Result<String, Fault> {
        const DOING: &str = "save an organisation's id at the payment provider";
        let update = UpdateExpression::new("SET customer = if_not_exists(customer, :customer)")
            .only_if("attribute_exists(pk)")
            .value(":customer", text(customer));
        let item = self.table.update_and_get(&Key::organisation(org), update, DOING).await?;
        let item = item.ok_or_else(|| Fault::unavailable(DOING, "there is no such organisation"))?;
        let known: Organisation = decode("an organisation", item)?;
        Ok(known.customer.unwrap_or_else(|| customer.to_owned()))
    }

    /// Sets the limit for an organisation's purchases of a day and returns the organisation; `None` when there is none.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn set_spending_limit(
        &self,
        org: OrgId,
        limit: SpendingLimit,
    ) -> Result<Option<Organisation>, Fault> {
        let limit = serde_dynamo::to_attribute_value(limit)
            .map_err(|source| Fault::corrupt("a spending limit", source))?;
        self.set_term(org, "spendingLimit", limit).await
    }

    async fn set_term(
        &self,
        org: OrgId,
        name: &'static str,
        value: AttributeValue,
    ) -> Result<Option<Organisation>, Fault> {
        let update = UpdateExpression::new("SET #term = :value")
            .only_if("attribute_exists(pk)")
            .name("#term", name)
            .value(":value", value);
        let key = Key::organisation(org);
        let item = self.table.update_and_get(&key, update, "set a term of an organisation").await?;
        item.map(|item| decode("an organisation", item)).transpose()
    }

    /// Sets an organisation's plan as of a revision of its live ledger, unless a later revision has set one.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn set_plan(
        &self,
        org: OrgId,
        plan: &PlanId,
        allowance: Allowance,
        since: u64,
    ) -> Result<(), Fault> {
        let allowance = serde_dynamo::to_attribute_value(allowance)
            .map_err(|source| Fault::corrupt("an allowance", source))?;
        let update = UpdateExpression::new("SET #plan = :plan, allowance = :allowance, planSince = :since")
            .only_if("attribute_exists(pk) AND (attribute_not_exists(planSince) OR planSince < :since)")
            .name("#plan", "plan")
            .value(":plan", text(plan.0.clone()))
            .value(":allowance", allowance)
            .value(":since", number(since));
        self.table.update(&Key::organisation(org), update, "set a plan").await?;
        // What a key may do depends on the plan. Logged also where a later plan was set: that one may not be logged yet.
        self.log_change(ChangedSetting::Organisation(org)).await
    }
}
