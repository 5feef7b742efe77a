use std::sync::Arc;

use axum::extract::State;
use domain::{Details, PlanId, SubscribeCause};
use scrip_http::{ApiError, App, Caller, Once, Params, Reply, may};
use serde::Deserialize;
use store::Unsettled;
use utoipa::{IntoParams, ToSchema};

use crate::change::{Asked, Change, carry_out, foresee, known};
use crate::shape::{Subscription, SubscriptionChange};

/// The plan that is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "plan": "professional" }))]
pub(super) struct NewSubscription {
    /// A plan of the catalogue: free, basic, professional, enterprise.
    plan: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// true: nothing is changed, and the answer says what would be.
    #[serde(default)]
    pub(super) preview: bool,
}

/// The organisation's plan, what it brings, and how it has changed.
#[utoipa::path(get, path = "/api/v3/subscription", tag = "subscription", responses((status = 200, body = Subscription)))]
pub(super) async fn read_subscription(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Params(NoQuery {}): Params<NoQuery>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let account = app.ledger.catch_up(caller.account, moment).await?;
    let history = app.ledger.plan_history(caller.account).await?;
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let plan = known(&catalogue.plans, &account.plan, moment.now)?;
    Reply::ok(&Subscription::new(&account, plan, &history, moment.now))
}

/// Changes the plan, at once, up or down. Of this month's subscription credits those are left that the new
/// plan brings and that were not spent yet, so moving down and up again refills nothing; purchased and bonus
/// credits stay. A negotiated allowance ends. To a plan that costs more than the present one, or brings more
/// than a negotiated allowance, the organisation moves itself only where an operator has allowed it (`selfServicePlans`); `preview` answers always. With a live
/// key the test ledger follows; with a test key only the test ledger changes, until the live one does. Sent again
/// it changes nothing; with an `Idempotency-Key`, a sending that comes late does not undo what was set since.
#[utoipa::path(
    put,
    path = "/api/v3/subscription",
    tag = "subscription",
    params(Query),
    request_body = NewSubscription,
    responses(
        (status = 200, body = SubscriptionChange),
        (status = 403, description = "PLAN_CHANGE_NOT_ALLOWED: the plan costs more, or brings more than a negotiated allowance, and only an operator changes to it; ORGANISATION_FROZEN"),
        (status = 409, description = "OPERATION_IN_PROGRESS, with Retry-After; CONFLICT: the balance would pass its limit, or an earlier sending of this request broke off and the plan was changed since"),
    ),
)]
pub(super) async fn change_subscription(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Params(Query { preview }): Params<Query>,
    Once { body: NewSubscription { plan }, id }: Once<NewSubscription>,
) -> Result<Reply, ApiError> {
    let (account, moment) = (caller.account, caller.call.moment);
    let organisation = app.settings.organisation(account.org).await?.ok_or(Unsettled::NoAccount)?;
    let change = Change {
        plan: PlanId(plan),
        allowance: None,
        cause: SubscribeCause::Owner,
        may_cost_more: organisation.self_service_plans,
    };
    if preview {
        return foresee(&app, account, change, moment).await;
    }
    let details = Details {
        key_id: Some(caller.key),
        request_id: Some(caller.call.id.to_string()),
        ..Details::default()
    };
    carry_out(&app, change, Asked { account, request: id, details, moment }).await
}
