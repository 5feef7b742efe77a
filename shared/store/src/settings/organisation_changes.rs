//! Changes of organisations that operators make.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use crate::settings::change_log::ChangedSetting;
use crate::settings::organisation_names::{name_item, remove_name};
use crate::settings::organisations::{Organisation, Settings};
use crate::table::attribute::text;
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::item::decode;
use crate::table::key::Key;
use crate::table::requests::Write;
use domain::{Metadata, OrgId, RateLimit, Reference, SwitchesChange};

/// How often a change is made again because another one was made first.
const ATTEMPTS_MAX: u32 = 8;

/// A change of an organisation. What is `None` keeps its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrganisationChange {
    /// Its name.
    pub name: Option<Reference>,
    /// The operator's own key and value pairs.
    pub metadata: Option<Metadata>,
    /// Whether its own keys may change to a plan that costs more.
    pub self_service_plans: Option<bool>,
    /// How many requests all its keys together may make; `Some(None)` for no limit.
    pub rate_limit: Option<Option<RateLimit>>,
}

impl Settings {
    /// Changes an organisation and returns it; `None` when there is none.
    ///
    /// # Errors
    /// When the table does not answer; when others change it too often at the same time.
    pub async fn change_organisation(
        &self,
        org: OrgId,
        change: &OrganisationChange,
    ) -> Result<Option<Organisation>, Fault> {
        const DOING: &str = "change an organisation";
        let OrganisationChange { name, metadata, self_service_plans, rate_limit } = change;
        for _ in 0..ATTEMPTS_MAX {
            let Some(known) = self.current_organisation(org).await? else { return Ok(None) };
            let changed = Organisation {
                name: name.as_ref().map_or(known.name.clone(), |name| name.as_str().to_owned()),
                metadata: metadata.clone().unwrap_or_else(|| known.metadata.clone()),
                self_service_plans: self_service_plans.unwrap_or(known.self_service_plans),
                is_indexed: true,
                ..known.clone()
            };
            let pairs = serde_dynamo::to_attribute_value(&changed.metadata);
            let pairs = pairs.map_err(|source| Fault::corrupt("metadata", source))?;
            let mut terms = vec!["#name = :new", "isIndexed = :yes"];
            terms.extend(metadata.is_some().then_some("metadata = :metadata"));
            terms.extend(self_service_plans.is_some().then_some("selfServicePlans = :self"));
            terms.extend(matches!(rate_limit, Some(Some(_))).then_some("rateLimit = :rate"));
            let removed = if matches!(rate_limit, Some(None)) { " REMOVE rateLimit" } else { "" };
            let update = UpdateExpression::new(&format!("SET {}{removed}", terms.join(", ")))
                .only_if("#name = :old")
                .name("#name", "name")
                .value(":old", text(known.name.clone()))
                .value(":new", text(changed.name.clone()))
                .value(":yes", AttributeValue::Bool(true));
            let update = if metadata.is_some() { update.value(":metadata", pairs) } else { update };
            let update = match self_service_plans {
                Some(allowed) => update.value(":self", AttributeValue::Bool(*allowed)),
                None => update,
            };
            let update = match rate_limit {
                Some(Some(limit)) => {
                    let limit = serde_dynamo::to_attribute_value(limit);
                    update.value(":rate", limit.map_err(|source| Fault::corrupt("a rate limit", source))?)
                }
                Some(None) | None => update,
            };
            let mut writes = vec![
                Write::Update(Key::organisation(org), update),
                Write::Put(name_item(&changed.name, org)),
            ];
            writes.extend(remove_name(&known.name, org, &changed.name));
            if self.table.write_together(writes, DOING).await?.is_none() {
                self.log_change(ChangedSetting::Organisation(org)).await?;
                return self.current_organisation(org).await;
            }
        }
        Err(Fault::Busy)
    }

    /// Changes what an organisation has switched on or off and returns the organisation; `None` when there is none. Functions
    /// notice it within five seconds.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn change_switches(
        &self,
        org: OrgId,
        change: SwitchesChange,
    ) -> Result<Option<Organisation>, Fault> {
        let SwitchesChange { require_known_members, budget_requests, runaway_keys } = change;
        let action = runaway_keys.map(serde_dynamo::to_attribute_value).transpose();
        let action = action.map_err(|source| Fault::corrupt("a switch", source))?;
        let values = [
            ("requireKnownMembers", require_known_members.map(AttributeValue::Bool)),
            ("budgetRequests", budget_requests.map(AttributeValue::Bool)),
            ("runawayKeys", action),
        ];
        let values = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let (texts, values): (Vec<_>, Vec<_>) =
            values.map(|(name, value)| (format!("{name} = :{name}"), (name, value))).unzip();
        if values.is_empty() {
            return self.current_organisation(org).await;
        }
        let update = UpdateExpression::new(&format!("SET {}", texts.join(", ")));
        let update =
            values.into_iter().fold(update.only_if("attribute_exists(pk)"), |update, (name, value)| {
                update.value(&format!(":{name}"), value)
            });
        let item = self.table.update_and_get(&Key::organisation(org), update, "set a switch").await?;
        self.log_change(ChangedSetting::Organisation(org)).await?;
        item.map(|item| decode("an organisation", item)).transpose()
    }

    /// Closes an organisation or opens it again, and returns it; `None` when there is none. One that was closed before keeps
    /// its time.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn set_closed(
        &self,
        org: OrgId,
        at: Option<DateTime<Utc>>,
    ) -> Result<Option<Organisation>, Fault> {
        let update = match at {
            Some(at) => UpdateExpression::new("SET closedAt = if_not_exists(closedAt, :at)")
                .value(":at", AttributeValue::N(at.timestamp().to_string())),
            None => UpdateExpression::new("REMOVE closedAt"),
        };
        let update = update.only_if("attribute_exists(pk)");
        let item =
            self.table.update_and_get(&Key::organisation(org), update, "close an organisation").await?;
        let Some(item) = item else { return Ok(None) };
        self.log_change(ChangedSetting::Organisation(org)).await?;
        decode("an organisation", item).map(Some)
    }
}
