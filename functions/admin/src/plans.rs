use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use domain::{
    Allowance, Amount, Credits, Currency, Fee, Plan, PlanChange, PlanId, PlanList, Reference, When,
};
use scrip_http::{ApiError, App, Instant, Once, Operator, Reply, instant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a plan is to be. What is left out stays; a new one needs all but effectiveFrom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({
    "name": "Professional", "price": { "amount": 29900, "currency": "GBP" }, "allowance": 5000, "apiAccess": true, "maxUsers": 10
}))]
pub(super) struct NewPlan {
    /// Its name for people.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Reference>,
    /// For a month: 0 to 99,999,999 minor units of a currency of ISO 4217.
    #[schema(value_type = Option<scrip_http::Money>)]
    price: Option<Price>,
    /// Credits a month, 0 to 10^12, or `unlimited`. Organisations that have the plan keep the allowance
    /// that they took it with.
    allowance: Option<Limit>,
    /// Whether keys without the `dashboard` scope may be used.
    api_access: Option<bool>,
    /// How many users an organisation may have, 1 to 1,000,000, or `unlimited`.
    max_users: Option<Limit>,
    /// In force from this instant on; at once when left out. Never in the past.
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_from: Option<Instant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object, {\"amount\": minor units, \"currency\": \"GBP\"}")]
struct Price {
    amount: u64,
    currency: Currency,
}

/// A whole number, or `unlimited`.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be a whole number, or \"unlimited\"")]
enum Limit {
    Number(u64),
    Word(Unlimited),
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Unlimited {
    Unlimited,
}

/// A version of a plan.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PlanVersion {
    #[serde(flatten)]
    plan: scrip_http::Plan,
    /// In force from then on.
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    effective_from: DateTime<Utc>,
}

/// Changes a subscription plan from an instant on, or makes a new one. Earlier versions are kept; one
/// that was planned for later than this one is in force no more. Sent again, it changes nothing.
/// Functions that have read the plans go by them for up to a minute.
#[utoipa::path(
    put,
    path = "/admin/v1/plans/{plan}",
    tag = "operator",
    params(("plan" = String, Path, description = "1 to 64 characters of a-z 0-9 . _ -")),
    request_body = NewPlan,
    responses(
        (status = 200, body = PlanVersion),
        (status = 409, description = "CONFLICT: the catalogue keeps no more versions"),
    ),
)]
pub(super) async fn set_plan(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(plan): Path<String>,
    Once { body: wanted, .. }: Once<NewPlan>,
) -> Result<Reply, ApiError> {
    let plan = PlanId::try_from(plan).map_err(|problem| ApiError::field("plan", problem))?;
    let asked = wanted.effective_from.as_ref().map(|Instant(from)| *from);
    let when = When::new(asked, operator.call.moment.now);
    let wanted = PlanChange::try_from(wanted)?;
    let version = app.settings.change(|plans: &PlanList| plans.change(&plan, &wanted, when)).await?;
    Reply::ok(&PlanVersion { plan: (&version).into(), effective_from: version.effective_from })
}

impl TryFrom<NewPlan> for PlanChange {
    type Error = ApiError;

    fn try_from(wanted: NewPlan) -> Result<Self, ApiError> {
        let NewPlan { name, price, allowance, api_access, max_users, effective_from: _ } = wanted;
        let fee = price.map(|Price { amount, currency }| {
            Fee::new(amount, currency).map_err(|problem| ApiError::field("price.amount", problem))
        });
        let allowance = allowance.map(|limit| {
            let credits = limit.within(0..=Amount::MAX, "allowance")?.map(Credits::try_from).transpose();
            let credits = credits.map_err(|problem| ApiError::field("allowance", problem))?;
            Ok::<_, ApiError>(credits.map_or(Allowance::Unlimited, Allowance::Monthly))
        });
        let max_users = max_users.map(|limit| {
            let users = limit.within(1..=Plan::USERS_MAX.into(), "maxUsers")?.map(u32::try_from);
            users.transpose().map_err(|problem| ApiError::field("maxUsers", problem))
        });
        let (fee, allowance) = (fee.transpose()?, allowance.transpose()?);
        Ok(Self { name, fee, allowance, api_access, max_users: max_users.transpose()? })
    }
}

impl Limit {
    /// The number, if it lies in `range`; none for no limit.
    fn within(self, range: RangeInclusive<u64>, field: &str) -> Result<Option<u64>, ApiError> {
        match self {
            Self::Number(number) if range.contains(&number) => Ok(Some(number)),
            Self::Number(_) => Err(ApiError::field(
                field,
                format!("must be a whole number from {} to {}, or \"unlimited\"", range.start(), range.end()),
            )),
            Self::Word(Unlimited::Unlimited) => Ok(None),
        }
    }
}
