use std::error::Error;

use chrono::{DateTime, Utc};
use domain::{
    Account, AccountId, Allowance, DUE_MAX, Details, EntryId, Fingerprint, Head, Mode, Plan, PlanId,
    PlanList, Posting, Refusal, Subscribe, SubscribeCause, due, subscribe,
};
use scrip_http::{ApiError, App, Reply};
use store::{Catalogue, Claim, Errand, Fault, Moment, Settled, Unsettled, system_key};

use crate::shape::{Plans, SubscriptionChange};

/// How often another request may change the plan to the wanted one and away from it.
const ATTEMPTS_MAX: u32 = 8;

/// A change of plan that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// To which plan.
    pub(super) plan: PlanId,
    /// A negotiated monthly allowance in place of the plan's.
    pub(super) allowance: Option<Allowance>,
    /// Who asks.
    pub(super) cause: SubscribeCause,
    /// Whether the plan may cost more than the present one.
    pub(super) may_cost_more: bool,
}

/// A request for a change of plan.
pub(super) struct Asked {
    /// Whose plan.
    pub(super) account: AccountId,
    /// The request: every sending under one idempotency key has the same.
    pub(super) request: EntryId,
    /// What the transaction says.
    pub(super) details: Details,
    /// When.
    pub(super) moment: Moment,
}

/// A change of plan, with the plans as they are in force.
struct Wanted<'a> {
    plans: &'a PlanList,
    plan: &'a Plan,
    request: Subscribe,
    may_cost_more: bool,
}

impl<'a> Wanted<'a> {
    fn of(change: Change, catalogue: &'a Catalogue, now: DateTime<Utc>) -> Result<Self, Refusal> {
        let Change { plan, allowance, cause, may_cost_more } = change;
        let plan = catalogue.plan(&plan, now).ok_or(Refusal::UnknownPlan(plan))?;
        let allowance = allowance.unwrap_or(plan.allowance);
        let request = Subscribe { plan: plan.plan.clone(), allowance, cause };
        Ok(Self { plans: &catalogue.plans, plan, request, may_cost_more })
    }

    /// Whether the account may not move to that plan by its own key.
    fn is_refused(&self, account: &Account, now: DateTime<Utc>) -> bool {
        // The catalogue keeps every plan that an account has; an unknown one counts as cheaper.
        let present = self.plans.plan(&account.plan, now);
        let costs_more = present.is_none_or(|present| self.plan.costs_more_than(present));
        // An operator has agreed on a smaller allowance: another plan does not end that.
        let is_negotiated = present.is_none_or(|present| present.allowance != account.allowance);
        let brings_more = is_negotiated && self.request.allowance.exceeds(account.allowance);
        !self.may_cost_more && (costs_more || brings_more)
    }

    fn decide(&self, account: &Account, head: &Head) -> Result<Posting, Refusal> {
        let posting = subscribe(account, &self.request, head)?;
        if self.is_refused(account, head.now) { Err(Refusal::PlanChangeNotAllowed) } else { Ok(posting) }
    }
}

/// Changes the plan of an account, then updates the organisation, the test ledger and the monitors.
pub(super) async fn carry_out(app: &App, change: Change, asked: Asked) -> Result<Reply, ApiError> {
    let Asked { account, request, details, moment } = asked;
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let wanted = Wanted::of(change, &catalogue, moment.now)?;
    // Schedule the follow-up before the change, so that a crash cannot leave it out.
    if account.mode == Mode::Live {
        app.calendar().expect(Errand::Plan(account), moment).await?;
    }
    // Every sending under one idempotency key has the same name, so the ledger settles it once.
    let name = format!("plan/{request}");
    let (key, fingerprint) = (system_key(&name)?, Fingerprint(name));
    let settled =
        match settle(app, account, Claim::new(&key, &fingerprint, &details), (&wanted, moment)).await? {
            Ok(settled) => settled,
            Err(account) => {
                return Reply::ok(&SubscriptionChange::nothing(&account, wanted.plan, false, moment.now));
            }
        };
    if let Err(unsettled) = app.calendar().follow_plan(account, moment).await {
        tracing::warn!(%account, cause = &unsettled as &dyn Error, "a change of plan is followed later");
    }
    let receipt = &settled.receipt;
    let switch = receipt.entry.switch.as_ref().ok_or_else(no_change)?;
    let plans = Plans {
        before: known(wanted.plans, &switch.from, receipt.entry.at)?,
        after: known(wanted.plans, &switch.to, receipt.entry.at)?,
    };
    let changed =
        SubscriptionChange::by((&receipt.entry, switch), (&receipt.balance, receipt.sequence), plans, false);
    Ok(Reply::ok(&changed)?.replayed(settled.replayed))
}

/// Settles a change of plan; or the account, where the plan is that one already.
async fn settle(
    app: &App,
    account: AccountId,
    claim: Claim<'_>,
    (wanted, moment): (&Wanted<'_>, Moment),
) -> Result<Result<Settled, Account>, ApiError> {
    for _ in 0..ATTEMPTS_MAX {
        let decide = |account: &Account, head: &Head| wanted.decide(account, head);
        match app.ledger.settle(account, claim, moment, decide).await {
            Ok(settled) => return Ok(Ok(settled)),
            Err(Unsettled::Refused(Refusal::SamePlan)) => {
                let known = app.ledger.catch_up(account, moment).await?;
                // Another request may have changed the plan since.
                if known.plan == wanted.request.plan {
                    return Ok(Err(known));
                }
            }
            Err(unsettled) => return Err(unsettled.into()),
        }
    }
    Err(Fault::Busy.into())
}

/// What a change would do. A change that only an operator may make is shown too, and says so.
pub(super) async fn foresee(
    app: &App,
    account: AccountId,
    change: Change,
    moment: Moment,
) -> Result<Reply, ApiError> {
    let Moment { now, .. } = moment;
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let wanted = Wanted::of(change, &catalogue, now)?;
    let account = app.ledger.account(account).await?.ok_or(Unsettled::NoAccount)?;
    let account = up_to_date(account, now)?;
    let id = EntryId::above(account.floor(), now, 0);
    let claim = system_key("preview")?;
    let posting = match subscribe(&account, &wanted.request, &Head { id, now, claim }) {
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
    let foreseen = SubscriptionChange::by((&posting.entry, switch), (&after, sequence), plans, true);
    Reply::ok(&foreseen.for_an_operator(is_refused))
}

/// The account with all that is due, though nobody has written it down.
fn up_to_date(mut account: Account, now: DateTime<Utc>) -> Result<Account, ApiError> {
    for _ in 0..DUE_MAX {
        let Some(posting) = due(&account, now) else { return Ok(account) };
        account = account.apply(&posting).ok_or_else(no_change)?;
    }
    Err(Fault::Busy.into())
}

/// The plan of an account. The catalogue keeps every version of every plan.
pub(super) fn known<'a>(plans: &'a PlanList, plan: &PlanId, at: DateTime<Utc>) -> Result<&'a Plan, ApiError> {
    let missing =
        || Fault::Corrupt { what: "an organisation", source: "its plan is not in the catalogue".into() };
    Ok(plans.plan(plan, at).ok_or_else(missing)?)
}

fn no_change() -> ApiError {
    Fault::Corrupt { what: "a change of plan", source: "it does not say what it changes".into() }.into()
}
