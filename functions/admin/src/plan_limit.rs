//! The safety limit of unlimited plans.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{Account, AccountId, Credits, CreditsWithin, Mode, OrgId, PLAN_CAP, PLAN_CAP_MAX, set_cap};
use scrip_http::{ApiError, App, Id, Once, Operator, Reply, duty};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A safety limit to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSafetyLimit {
    /// Credits a month, 10^15 to 4 x 10^15.
    #[schema(value_type = u64, minimum = 1_000_000_000_000_000_u64, maximum = 4_000_000_000_000_000_u64)]
    limit: CreditsWithin<PLAN_CAP, PLAN_CAP_MAX>,
    /// The ledger: live (default) or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
}

/// The present safety limit.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SafetyLimit {
    organisation_id: String,
    #[schema(value_type = String)]
    mode: Mode,
    /// Credits a month.
    limit: u64,
}

/// Sets the most credits that an account on an unlimited plan may spend in a month. The limit is not part of the plan: it
/// keeps the account's numbers in range. A debit beyond it is refused with 403 PLAN_LIMIT_REACHED.
#[utoipa::path(
    put,
    path = "/admin/v1/organisations/{id}/plan-limit",
    tag = "operator",
    params(("id" = String, Path, description = "org_…")),
    request_body = NewSafetyLimit,
    responses((status = 200, body = SafetyLimit), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn set_plan_limit(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Money>,
    Path(org): Path<Id<OrgId>>,
    Once { body: NewSafetyLimit { limit, mode }, .. }: Once<NewSafetyLimit>,
) -> Result<Reply, ApiError> {
    let limit = Credits::from(limit);
    let id = AccountId { org: org.found()?, mode: mode.unwrap_or(Mode::Live) };
    operator.call.is_about(id);
    let is_so = |account: &Account| account.monthly_cap() == limit;
    let decide = |account: &Account, attempt: &_| set_cap(account, limit, attempt);
    let author = super::terms::Author { operator: &operator, reason: None, step: "plan-limit" };
    let account = super::terms::change(&app, id, author, is_so, decide).await?;
    Reply::ok(&SafetyLimit {
        organisation_id: account.id.org.to_string(),
        mode: account.id.mode,
        limit: account.monthly_cap().get(),
    })
}
