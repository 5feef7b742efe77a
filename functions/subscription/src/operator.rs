use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Deserialize;
use shared::domain::{AccountId, Allowance, Allowed, ClaimKey, Details, Mode, OrgId, PlanId, SubscribeCause};
use shared::edge::{ApiError, App, Operator, Params, Reply, Setting};
use shared::store::system_key;
use utoipa::ToSchema;

use crate::change::{Change, carry_out, foresee};
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
        ("Idempotency-Key" = Option<String>, Header, description = "Your name for this request, if you want one"),
    ),
    request_body = OperatorSubscription,
    responses(
        (status = 200, body = SubscriptionChange),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "OPERATION_IN_PROGRESS, with Retry-After; CONFLICT: the balance would pass its limit"),
        (status = 422, description = "IDEMPOTENCY_KEY_REUSED: same key, other body"),
    ),
)]
pub(super) async fn set_subscription(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    Params(Query { preview }): Params<Query>,
    wanted: Setting<OperatorSubscription>,
) -> Result<Reply, ApiError> {
    const UNKNOWN: ApiError = ApiError::NotFound("there is no such organisation");
    let OperatorSubscription { plan, allowance, mode } = wanted.body;
    let org = OrgId::try_from(id).map_err(|_| UNKNOWN)?;
    let account = AccountId { org, mode: mode.unwrap_or(Mode::Live) };
    app.settings.organisation(org).await?.ok_or(UNKNOWN)?;
    let moment = app.ledger.moment_of(account, operator.call.moment).await?;
    let change = Change {
        plan: PlanId(plan),
        allowance: allowance.map(|credits| Allowance::Monthly(credits.into())),
        cause: SubscribeCause::Operator { by_key: wanted.key.is_some() },
        may_cost_more: true,
    };
    if preview {
        return foresee(&app, account, change, moment).await;
    }
    let key = match wanted.key {
        Some(key) => ClaimKey::Operator(key),
        None => system_key(&format!("plan/{}", operator.call.id))?,
    };
    let details = Details {
        super_admin: Some(operator.key),
        request_id: Some(operator.call.id.to_string()),
        ..Details::default()
    };
    carry_out(&app, account, (&key, &wanted.fingerprint, &details), (change, moment)).await
}
