//! Changes of plan, and their previews.

use std::error::Error;

use chrono::{DateTime, Utc};
use domain::{
    Account, AccountId, Allowance, Attempt, ChangePlan, ChangePlanCause, Details, EntryId, Fingerprint, Mode,
    Plan, PlanId, PlanList, Posting, Refusal, change_plan, due,
};
use scrip_http::{ApiError, App, Reply};
use store::{Catalogue, Claim, Fault, Job, Moment, Settled, Unsettled, system_key};

use crate::response::{Plans, SubscriptionChange, Switched};

/// How often other requests may change the plan to the wanted one and back meanwhile.
const ATTEMPTS_MAX: u32 = 8;

/// A requested change of plan.
#[derive(Clone, Debug)]
pub(super) struct PlanChangeRequest {
    /// The new plan.
    pub(super) plan: PlanId,
    /// A negotiated monthly allowance in place of the plan's.
    pub(super) allowance: Option<Allowance>,
    /// Who requested it.
    pub(super) cause: ChangePlanCause,
    /// Whether the plan may cost more than the present one.
    pub(super) may_cost_more: bool,
}

/// The request for a change of plan.
pub(super) struct PlanChangeContext {
    /// The account.
    pub(super) account: AccountId,
    /// The id of the request, the same for every attempt under one idempotency key.
    pub(super) request: EntryId,
    /// The details of the transaction.
    pub(super) details: Details,
    /// The time.
    pub(super) moment: Moment,
}

/// A change of plan with the present catalogue.
struct PlannedChange<'a> {
    plans: &'a PlanList,
    plan: &'a Plan,
    request: ChangePlan,
    may_cost_more: bool,
}

impl<'a> PlannedChange<'a> {
    fn of(change: PlanChangeRequest, catalogue: &'a Catalogue, now: DateTime<Utc>) -> Result<Self, Refusal> {
        let PlanChangeRequest { plan, allowance, cause, may_cost_more } = change;
        let plan = catalogue.plan(&plan, now).ok_or(Refusal::UnknownPlan(plan))?;
        let allowance = allowance.unwrap_or(plan.allowance);
        let request = ChangePlan { plan: plan.plan.clone(), allowance, cause };
        Ok(Self { plans: &catalogue.plans, plan, request, may_cost_more })
    }

    /// Whether the organisation may not make this change itself.
    fn is_refused(&self, account: &Account, now: DateTime<Utc>) -> bool {
        // The catalogue keeps every plan that an account has. An unknown plan counts as cheaper.
        let present = self.plans.plan(&account.plan, now);
        let costs_more = present.is_none_or(|present| self.plan.costs_more_than(present));
        // An operator has agreed on a smaller allowance, which the organisation must not end itself.
        let is_negotiated = present.is_none_or(|present| present.allowance != account.allowance);
        let brings_more = is_negotiated && self.request.allowance.exceeds(account.allowance);
        !self.may_cost_more && (costs_more || brings_more)
    }

    fn decide(&self, account: &Account, attempt: &Attempt) -> Result<Posting, Refusal> {
        let posting = change_plan(account, &self.request, attempt)?;
        if self.is_refused(account, attempt.now) { Err(Refusal::PlanChangeNotAllowed) } else { Ok(posting) }
    }
}

/// Changes the plan of an account, then updates the organisation, the test ledger and the monitors.
pub(super) async fn carry_out(
    app: &App,
    change: PlanChangeRequest,
    asked: PlanChangeContext,
) -> Result<Reply, ApiError> {
    let PlanChangeContext { account, request, details, moment } = asked;
    let catalogue = app.settings.current_catalogue(moment.wall).await?;
    let wanted = PlannedChange::of(change, &catalogue, moment.now)?;
    // Schedule the follow-up before the change, so that a crash cannot lose it.
    if account.mode == Mode::Live {
        app.jobs().schedule_check(Job::Plan(account), moment).await?;
    }
    // Every attempt under one idempotency key has the same name, so the ledger settles it once.
    let name = format!("plan/{request}");
    let (key, fingerprint) = (system_key(&name)?, Fingerprint(name));
    let claim = Claim::new(&key, &fingerprint, &details);
    let settled = match settle(app, account, claim, &wanted, moment).await? {
        PlanSettlement::Changed(settled) => settled,
        PlanSettlement::Unchanged(account) => {
            return Reply::ok(&SubscriptionChange::nothing(&account, wanted.plan, false, moment.now));
        }
    };
    if let Err(unsettled) = app.jobs().apply_plan(account, moment).await {
        tracing::warn!(%account, cause = &unsettled as &dyn Error, "the follow-up of a change of plan is left to the scheduled job");
    }
    let receipt = &settled.receipt;
    let switch = receipt.entry.switch.as_ref().ok_or_else(no_change)?;
    let plans = Plans {
        before: known(wanted.plans, &switch.from, receipt.entry.at)?,
        after: known(wanted.plans, &switch.to, receipt.entry.at)?,
    };
    let switched = Switched { entry: &receipt.entry, switch };
    let changed = SubscriptionChange::by(switched, &receipt.balance, receipt.sequence, plans, false);
    Ok(Reply::ok(&changed)?.replayed(settled.replayed))
}

/// The result of a change of plan.
enum PlanSettlement {
    Changed(Box<Settled>),
    /// The account has that plan already.
    Unchanged(Box<Account>),
}

/// Settles a change of plan.
async fn settle(
    app: &App,
    account: AccountId,
    claim: Claim<'_>,
    wanted: &PlannedChange<'_>,
    moment: Moment,
) -> Result<PlanSettlement, ApiError> {
    for _ in 0..ATTEMPTS_MAX {
        let decide = |account: &Account, attempt: &Attempt| wanted.decide(account, attempt);
        match app.ledger.settle(account, claim, moment, decide).await {
            Ok(settled) => return Ok(PlanSettlement::Changed(Box::new(settled))),
            Err(Unsettled::Refused(Refusal::SamePlan)) => {
                let known = app.ledger.catch_up(account, moment).await?;
                // Otherwise another request has changed the plan since.
                if known.plan == wanted.request.plan {
                    return Ok(PlanSettlement::Unchanged(Box::new(known)));
                }
            }
            Err(unsettled) => return Err(unsettled.into()),
        }
    }
    Err(Fault::Busy.into())
}

/// Previews a change. A change that only an operator may make is shown with a notice.
pub(super) async fn preview(
    app: &App,
    account: AccountId,
    change: PlanChangeRequest,
    moment: Moment,
) -> Result<Reply, ApiError> {
    let Moment { now, .. } = moment;
    let catalogue = app.settings.current_catalogue(moment.wall).await?;
    let wanted = PlannedChange::of(change, &catalogue, now)?;
    let seats = app.settings.seats(account.org).await?;
    let account = app.ledger.account(account).await?.ok_or(Unsettled::NoAccount)?;
    let account = account.with_due(now);
    if due(&account, now).is_some() {
        return Err(Fault::Busy.into());
    }
    let id = account.attempt_id(now, 0);
    let claim = system_key("preview")?;
    let posting = match change_plan(&account, &wanted.request, &Attempt { id, now, claim }) {
        Ok(posting) => posting,
        Err(Refusal::SamePlan) => {
            return Reply::ok(&SubscriptionChange::nothing(&account, wanted.plan, true, now));
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let (before, sequence) = (known(wanted.plans, &account.plan, now)?, account.sequence);
    let is_refused = wanted.is_refused(&account, now);
    let after = account.apply(&posting).ok_or_else(no_change)?.balance(now);
    let switch = posting.entry.switch.as_ref().ok_or_else(no_change)?;
    let plans = Plans { before, after: wanted.plan };
    let switched = Switched { entry: &posting.entry, switch };
    let foreseen = SubscriptionChange::by(switched, &after, sequence, plans, true);
    Reply::ok(&foreseen.for_an_operator(is_refused).with_seats(seats.taken, wanted.plan.max_users))
}

/// The plan of an account. The catalogue keeps every version of every plan.
pub(super) fn known<'a>(plans: &'a PlanList, plan: &PlanId, at: DateTime<Utc>) -> Result<&'a Plan, ApiError> {
    let missing =
        || Fault::Corrupt { what: "an organisation", source: "its plan is not in the catalogue".into() };
    Ok(plans.plan(plan, at).ok_or_else(missing)?)
}

fn no_change() -> ApiError {
    Fault::Corrupt { what: "a change of plan", source: "it names no plans".into() }.into()
}
