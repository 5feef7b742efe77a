use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use shared::domain::{
    Account, AccountId, ClaimKey, DUE_MAX, Details, EntryId, Fingerprint, Head, Mode, Plan, PlanId, PlanList,
    Refusal, Subscribe, SubscribeCause, due, subscribe,
};
use shared::edge::{ApiError, App, Caller, Params, Reply, Setting, may};
use shared::store::{Errand, Fault, Moment, Settled, Unsettled, system_key};
use utoipa::{IntoParams, ToSchema};

use crate::shape::{Plans, Subscription, SubscriptionChange};

/// How often somebody else may change the plan to the wanted one and away from it.
const ATTEMPTS_MAX: u32 = 8;

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
    preview: bool,
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
/// credits stay. A negotiated allowance ends. With a live key the test ledger follows; with a test key only
/// the test ledger changes, until the live one does. Sent again it changes nothing; with an
/// `Idempotency-Key`, a sending that comes late does not undo what was set since.
#[utoipa::path(
    put,
    path = "/api/v3/subscription",
    tag = "subscription",
    params(
        Query,
        ("Idempotency-Key" = Option<String>, Header, description = "Your name for this request, if you want one"),
    ),
    request_body = NewSubscription,
    responses(
        (status = 200, body = SubscriptionChange),
        (status = 409, description = "OPERATION_IN_PROGRESS, with Retry-After; CONFLICT: the balance would pass its limit"),
        (status = 422, description = "IDEMPOTENCY_KEY_REUSED: same key, other body"),
    ),
)]
pub(super) async fn change_subscription(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Params(Query { preview }): Params<Query>,
    wanted: Setting<NewSubscription>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let plan = PlanId(wanted.body.plan.clone());
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let terms = catalogue.plan(&plan, moment.now).ok_or(Refusal::UnknownPlan(plan))?;
    let cause = if wanted.key.is_some() { SubscribeCause::OwnerByKey } else { SubscribeCause::Owner };
    let request = Subscribe { plan: terms.plan.clone(), allowance: terms.allowance, cause };
    if preview {
        return foresee(&app, &caller, &catalogue.plans, &request).await;
    }
    let key = match wanted.key {
        Some(key) => ClaimKey::Caller(key),
        None => system_key(&format!("plan/{}", caller.call.id))?,
    };
    let details = Details {
        key_id: Some(caller.key),
        request_id: Some(caller.call.id.to_string()),
        ..Details::default()
    };
    // Before anything is changed: whatever crashes, everything that goes by the plan follows it.
    if caller.account.mode == Mode::Live {
        app.calendar().expect(Errand::Plan(caller.account), moment).await?;
    }
    let claim = (&key, &wanted.fingerprint, &details);
    let settled = match settle(&app, caller.account, claim, (&request, moment)).await? {
        Ok(settled) => settled,
        Err(account) => return Reply::ok(&SubscriptionChange::nothing(&account, terms, false, moment.now)),
    };
    if let Err(unsettled) = app.calendar().follow_plan(caller.account, moment).await {
        tracing::warn!(account = %caller.account, cause = &unsettled as &dyn Error, "a change of plan is followed later");
    }
    let receipt = &settled.receipt;
    let switch = receipt.entry.switch.as_ref().ok_or_else(no_change)?;
    let plans = Plans {
        before: known(&catalogue.plans, &switch.from, receipt.entry.at)?,
        after: known(&catalogue.plans, &switch.to, receipt.entry.at)?,
    };
    let changed =
        SubscriptionChange::by((&receipt.entry, switch), (&receipt.balance, receipt.sequence), plans, false);
    Ok(Reply::ok(&changed)?.replayed(settled.replayed))
}

/// Settles a change of plan; or the account, where the plan is that one already.
async fn settle(
    app: &App,
    account: AccountId,
    claim: (&ClaimKey, &Fingerprint, &Details),
    (request, moment): (&Subscribe, Moment),
) -> Result<Result<Settled, Account>, ApiError> {
    for _ in 0..ATTEMPTS_MAX {
        let decide = |account: &Account, head: &Head| subscribe(account, request, head);
        match app.ledger.settle(account, claim, moment, decide).await {
            Ok(settled) => return Ok(Ok(settled)),
            Err(Unsettled::Refused(Refusal::SamePlan)) => {
                let known = app.ledger.catch_up(account, moment).await?;
                // Somebody may have changed it since.
                if known.plan == request.plan {
                    return Ok(Err(known));
                }
            }
            Err(unsettled) => return Err(unsettled.into()),
        }
    }
    Err(Fault::Busy.into())
}

/// What a change would do.
async fn foresee(
    app: &App,
    caller: &Caller<may::Set>,
    plans: &PlanList,
    request: &Subscribe,
) -> Result<Reply, ApiError> {
    let Moment { now, .. } = caller.call.moment;
    let account = app.ledger.account(caller.account).await?.ok_or(Unsettled::NoAccount)?;
    let account = up_to_date(account, now)?;
    let id = EntryId::above(account.floor(), now, 0);
    let claim = system_key("preview")?;
    let plan = known(plans, &request.plan, now)?;
    let posting = match subscribe(&account, request, &Head { id, now, claim }) {
        Ok(posting) => posting,
        Err(Refusal::SamePlan) => return Reply::ok(&SubscriptionChange::nothing(&account, plan, true, now)),
        Err(refusal) => return Err(refusal.into()),
    };
    let (before, sequence) = (known(plans, &account.plan, now)?, account.sequence);
    let after = account.apply(&posting).ok_or_else(no_change)?.balance(now);
    let switch = posting.entry.switch.as_ref().ok_or_else(no_change)?;
    let plans = Plans { before, after: plan };
    Reply::ok(&SubscriptionChange::by((&posting.entry, switch), (&after, sequence), plans, true))
}

/// The account with all that is due, though nobody has written it down.
fn up_to_date(mut account: Account, now: DateTime<Utc>) -> Result<Account, ApiError> {
    for _ in 0..DUE_MAX {
        let Some(posting) = due(&account, now) else { return Ok(account) };
        account = account.apply(&posting).ok_or_else(no_change)?;
    }
    Err(Fault::Busy.into())
}

/// A plan that somebody has is in the catalogue, which forgets none.
fn known<'a>(plans: &'a PlanList, plan: &PlanId, at: DateTime<Utc>) -> Result<&'a Plan, ApiError> {
    let missing =
        || Fault::Corrupt { what: "an organisation", source: "its plan is not in the catalogue".into() };
    Ok(plans.plan(plan, at).ok_or_else(missing)?)
}

fn no_change() -> ApiError {
    Fault::Corrupt { what: "a change of plan", source: "it does not say what it changes".into() }.into()
}
