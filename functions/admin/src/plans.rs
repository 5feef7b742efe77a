//! Subscription plans.

use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use domain::{
    Allowance, Amount, Credits, Currency, EffectiveTime, Plan, PlanFee, PlanId, PlanList, PlanUpdate,
    Reference,
};
use scrip_http::{ApiError, App, Instant, Once, Operator, Reply, duty, timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A new version of a plan. Fields that are left out keep their values; a new plan needs all but effectiveFrom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({
    "name": "Professional", "price": { "amount": 29900, "currency": "GBP" }, "allowance": 5000, "apiAccess": true, "maxUsers": 10
}))]
pub(super) struct NewPlan {
    /// The display name.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Reference>,
    /// The price of a month: 0 to 99,999,999 minor units of an ISO 4217 currency.
    #[schema(value_type = Option<scrip_http::MoneyView>)]
    price: Option<PriceRequest>,
    /// Credits a month, 0 to 10^12, or `unlimited`. Organisations that have the plan already keep their allowance.
    allowance: Option<LimitRequest>,
    /// Whether API keys without the `dashboard` scope work.
    api_access: Option<bool>,
    /// The most users of an organisation, 1 to 1,000,000, or `unlimited`.
    max_users: Option<LimitRequest>,
    /// When the version takes effect, not in the past; at once if left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_from: Option<Instant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object, {\"amount\": minor units, \"currency\": \"GBP\"}")]
struct PriceRequest {
    amount: u64,
    currency: Currency,
}

/// A whole number, or `unlimited`.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[schema(as = Limit)]
#[serde(untagged, expecting = "must be a whole number, or \"unlimited\"")]
enum LimitRequest {
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
    plan: scrip_http::PlanView,
    /// When the version takes effect.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    effective_from: DateTime<Utc>,
}

/// Changes a subscription plan from a point in time on, or creates one. Earlier versions are kept; versions planned for a
/// later time are replaced. A retry changes nothing. Functions may use the previous version for up to 5 seconds.
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
    operator: Operator<duty::Catalogue>,
    Path(plan): Path<String>,
    Once { body: wanted, .. }: Once<NewPlan>,
) -> Result<Reply, ApiError> {
    let plan = PlanId::try_from(plan).map_err(|problem| ApiError::field("plan", problem))?;
    let asked = wanted.effective_from.as_ref().map(|Instant(from)| *from);
    let when = EffectiveTime::new(asked, operator.call.moment.now);
    let wanted = PlanUpdate::try_from(wanted)?;
    let version = app.settings.change(|plans: &PlanList| plans.change(&plan, &wanted, when)).await?;
    Reply::ok(&PlanVersion { plan: (&version).into(), effective_from: version.effective_from })
}

impl TryFrom<NewPlan> for PlanUpdate {
    type Error = ApiError;

    fn try_from(wanted: NewPlan) -> Result<Self, ApiError> {
        let NewPlan { name, price, allowance, api_access, max_users, effective_from: _ } = wanted;
        let fee = price.map(|PriceRequest { amount, currency }| {
            PlanFee::new(amount, currency).map_err(|problem| ApiError::field("price.amount", problem))
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

impl LimitRequest {
    /// The number, which must be in `range`; none for `unlimited`.
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
