//! The plan of an organisation.

use std::sync::Arc;

use axum::extract::State;
use domain::{ChangePlanCause, Details, PlanId};
use scrip_http::{ApiError, App, Caller, Once, QueryParams, Reply, SubscriptionView, may};
use serde::Deserialize;
use store::Unsettled;
use utoipa::{IntoParams, ToSchema};

use crate::change::{PlanChangeContext, PlanChangeRequest, carry_out, known, preview};
use crate::response::SubscriptionChange;

/// The plan to change to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "plan": "professional" }))]
pub(super) struct NewSubscription {
    /// A plan of the catalogue: free, basic, professional, enterprise.
    plan: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PreviewQuery {
    /// true: nothing is changed, and the answer shows what the change would do.
    #[serde(default)]
    pub(super) preview: bool,
}

/// Returns the organisation's plan, its terms and its history.
#[utoipa::path(get, path = "/api/v3/subscription", tag = "subscription", responses((status = 200, body = SubscriptionView)))]
pub(super) async fn read_subscription(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let account = app.ledger.catch_up(caller.account, moment).await?;
    let history = app.ledger.plan_history(caller.account).await?;
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let plan = known(&catalogue.plans, &account.plan, moment.now)?;
    Reply::ok(&SubscriptionView::new(&account, plan, &history, moment.now))
}

/// Changes the plan at once, up or down. The remaining subscription credits of this month become the new plan's allowance
/// less what was spent, so changing down and up again refills nothing. Purchased and bonus credits stay. A negotiated
/// allowance ends. An organisation may choose a plan that costs more, or brings more than a negotiated allowance, only
/// if an operator has allowed it (`selfServicePlans`); a preview is always possible. With a live key the test ledger
/// changes, too; with a test key only the test ledger changes, until the live one does. A retry changes nothing; with an
/// `Idempotency-Key`, a late retry does not override a later change.
#[utoipa::path(
    put,
    path = "/api/v3/subscription",
    tag = "subscription",
    params(PreviewQuery),
    request_body = NewSubscription,
    responses(
        (status = 200, body = SubscriptionChange),
        (status = 403, description = "PLAN_CHANGE_NOT_ALLOWED: the plan costs more, or brings more than a negotiated allowance, so only an operator may change to it; ORGANISATION_FROZEN"),
        (status = 409, description = "OPERATION_IN_PROGRESS, with Retry-After; CONFLICT: the balance would exceed its limit, or an earlier attempt of this request was interrupted and the plan has changed since"),
    ),
)]
pub(super) async fn change_subscription(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    QueryParams(PreviewQuery { preview: is_preview }): QueryParams<PreviewQuery>,
    Once { body: NewSubscription { plan }, id }: Once<NewSubscription>,
) -> Result<Reply, ApiError> {
    let (account, moment) = (caller.account, caller.call.moment);
    let organisation = app.settings.current_organisation(account.org).await?.ok_or(Unsettled::NoAccount)?;
    let change = PlanChangeRequest {
        plan: PlanId(plan),
        allowance: None,
        cause: ChangePlanCause::Owner,
        may_cost_more: organisation.self_service_plans,
    };
    if is_preview {
        return preview(&app, account, change, moment).await;
    }
    let details = Details {
        key_id: Some(caller.key),
        super_admin: caller.super_admin(),
        request_id: Some(caller.call.id.to_string()),
        ..Details::default()
    };
    carry_out(&app, change, PlanChangeContext { account, request: id, details, moment }).await
}
