use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{AccountId, Allowance, Allowed, Details, Mode, OrgId, PlanId, SubscribeCause};
use scrip_http::{ApiError, App, Once, Operator, Params, Reply};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::change::{Asked, Change, carry_out, foresee};
use crate::plan::Query;
use crate::shape::SubscriptionChange;

/// The plan that an organisation is to have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "plan": "professional", "allowance": 8000 }))]
pub(super) struct OperatorSubscription {
    /// A plan of the catalogue: free, basic, professional, enterprise.
    plan: String,
    /// A negotiated monthly allowance in place of the plan's, 0 to 10^12; the plan's when left out. It ends with
    /// the next change of plan.
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_000_000_000_000_u64)]
    allowance: Option<Allowed>,
    /// Which ledger: live, which the test ledger follows, when left out; or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
}

/// Changes the plan of an organisation, or its negotiated allowance, at once: up or down, also while it is
/// frozen. What becomes of the month's credits is as when the organisation changes its plan itself.
#[utoipa::path(
    put,
    path = "/admin/v1/organisations/{id}/subscription",
    tag = "operator",
    params(
        ("id" = String, Path, description = "org_…"),
        Query,
    ),
    request_body = OperatorSubscription,
    responses(
        (status = 200, body = SubscriptionChange),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "OPERATION_IN_PROGRESS, with Retry-After; CONFLICT: the balance would pass its limit, or an earlier sending of this request broke off and the plan was changed since"),
    ),
)]
pub(super) async fn set_subscription(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    Params(Query { preview }): Params<Query>,
    Once { body, id: request }: Once<OperatorSubscription>,
) -> Result<Reply, ApiError> {
    const UNKNOWN: ApiError = ApiError::NotFound("there is no such organisation");
    let OperatorSubscription { plan, allowance, mode } = body;
    let org = OrgId::try_from(id).map_err(|_| UNKNOWN)?;
    let account = AccountId { org, mode: mode.unwrap_or(Mode::Live) };
    app.settings.organisation(org).await?.ok_or(UNKNOWN)?;
    let moment = app.ledger.moment_of(account, operator.call.moment).await?;
    let change = Change {
        plan: PlanId(plan),
        allowance: allowance.map(|credits| Allowance::Monthly(credits.into())),
        cause: SubscribeCause::Operator,
        may_cost_more: true,
    };
    if preview {
        return foresee(&app, account, change, moment).await;
    }
    let details = Details {
        super_admin: Some(operator.key),
        request_id: Some(operator.call.id.to_string()),
        ..Details::default()
    };
    carry_out(&app, change, Asked { account, request, details, moment }).await
}
