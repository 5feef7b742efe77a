//! An organisation as operators see it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::Allowance;
use serde::Serialize;
use store::Organisation;
use utoipa::ToSchema;

use super::RateLimitView;
use crate::timestamp;

/// An organisation.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Opened)]
#[serde(rename_all = "camelCase")]
pub struct OrganisationView {
    organisation_id: String,
    name: String,
    /// The operator's own id of the organisation.
    external_id: Option<String>,
    /// The operator's own key and value pairs.
    metadata: BTreeMap<String, String>,
    plan: String,
    /// Credits a month; null for an unlimited plan.
    allowance: Option<u64>,
    currency: &'static str,
    /// Whether its own keys may choose a more expensive plan.
    self_service_plans: bool,
    /// How many requests all its keys together may make; null for no limit.
    rate_limit: Option<RateLimitView>,
    /// active or closed.
    status: &'static str,
    /// When it was closed; null while it is open.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<DateTime<Utc>>,
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
}

impl From<Organisation> for OrganisationView {
    fn from(organisation: Organisation) -> Self {
        Self {
            organisation_id: organisation.org.to_string(),
            name: organisation.name,
            external_id: organisation.external_id.map(|id| id.as_str().to_owned()),
            metadata: organisation.metadata.into(),
            plan: organisation.plan.0,
            allowance: match organisation.allowance {
                Allowance::Monthly(credits) => Some(credits.get()),
                Allowance::Unlimited => None,
            },
            currency: organisation.currency.code(),
            self_service_plans: organisation.self_service_plans,
            rate_limit: organisation.rate_limit.map(RateLimitView::from),
            status: if organisation.closed_at.is_some() { "closed" } else { "active" },
            closed_at: organisation.closed_at,
            created_at: organisation.created_at,
        }
    }
}
