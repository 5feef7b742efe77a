//! The operator's change of an organisation's plan.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{AccountId, Allowance, Allowed, ChangePlanCause, Details, Mode, OrgId, PlanId};
use scrip_http::{ApiError, App, Id, Once, Operator, PathId, QueryParams, Reply, duty};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::change::{PlanChangeContext, PlanChangeRequest, carry_out, preview};
use crate::plan::PreviewQuery;
use crate::response::SubscriptionChange;

/// The plan to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "plan": "professional", "allowance": 8000 }))]
pub(super) struct OperatorSubscription {
    /// A plan of the catalogue: free, basic, professional, enterprise.
    plan: String,
    /// A negotiated monthly allowance, 0 to 10^12; the plan's allowance if left out. It ends with the next change of plan.
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_000_000_000_000_u64)]
    allowance: Option<Allowed>,
    /// The ledger: live (default), with which the test ledger changes, too; or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
}

/// Changes the plan of an organisation, or its negotiated allowance, at once: up or down, also while it is frozen. The
/// effect on the month's credits is the same as when the organisation changes its plan itself.
#[utoipa::path(
    put,
    path = "/admin/v1/organisations/{id}/subscription",
    tag = "operator",
    params(
        ("id" = String, Path, description = "org_…"),
        PreviewQuery,
    ),
    request_body = OperatorSubscription,
    responses(
        (status = 200, body = SubscriptionChange),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "OPERATION_IN_PROGRESS, with Retry-After; CONFLICT: the balance would exceed its limit, or an earlier attempt of this request was interrupted and the plan has changed since"),
    ),
)]
pub(super) async fn set_subscription(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Money>,
    Path(org): Path<Id<OrgId>>,
    QueryParams(PreviewQuery { preview: is_preview }): QueryParams<PreviewQuery>,
    Once { body, id: request }: Once<OperatorSubscription>,
) -> Result<Reply, ApiError> {
    let OperatorSubscription { plan, allowance, mode } = body;
    let org = org.found()?;
    let account = AccountId { org, mode: mode.unwrap_or(Mode::Live) };
    app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    let moment = app.ledger.moment_of(account, operator.call.moment).await?;
    let change = PlanChangeRequest {
        plan: PlanId(plan),
        allowance: allowance.map(|credits| Allowance::Monthly(credits.into())),
        cause: ChangePlanCause::Operator,
        may_cost_more: true,
    };
    if is_preview {
        return preview(&app, account, change, moment).await;
    }
    let details = Details {
        super_admin: Some(operator.key),
        request_id: Some(operator.call.id.to_string()),
        ..Details::default()
    };
    carry_out(&app, change, PlanChangeContext { account, request, details, moment }).await
}
