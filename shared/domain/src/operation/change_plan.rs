//! The rules of a change of plan.

use crate::ledger::month::WithAllowance;
use crate::operation::consume::{NewEntry, may_move};
use crate::{
    Account, Allowance, Attempt, Credits, Direction, Effect, Entry, Guard, Mode, Move, Operation, PlanId,
    PlanTransition, Posting, Refusal, Source,
};

/// A change of an account's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangePlan {
    /// The new plan.
    pub plan: PlanId,
    /// Its allowance.
    pub allowance: Allowance,
    /// Who requested it.
    pub cause: ChangePlanCause,
}

/// Who requested a change of plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangePlanCause {
    /// The organisation itself. Its current plan is refused.
    Owner,
    /// An operator, who can also change the allowance of the current plan.
    Operator,
    /// A test ledger that copies the live ledger's plan, which was changed at this revision.
    Follows(u64),
}

/// Decides a change of plan, which takes effect immediately (contract, rule 4): the month's subscription
/// credits become the new allowance less the credits spent. After a downgrade and an upgrade, spent credits are
/// still spent. Purchased and bonus credits are unchanged.
///
/// # Errors
/// [`Refusal::Frozen`], [`Refusal::SamePlan`], [`Refusal::BalanceLimit`]. A test ledger that copies a plan is
/// only refused with [`Refusal::SamePlan`]: it has already copied it, or has changed its plan since.
pub fn change_plan(account: &Account, request: &ChangePlan, attempt: &Attempt) -> Result<Posting, Refusal> {
    let since = match request.cause {
        ChangePlanCause::Follows(posted) if account.since < posted => posted,
        ChangePlanCause::Follows(_) => return Err(Refusal::SamePlan),
        ChangePlanCause::Owner | ChangePlanCause::Operator => {
            let by_operator = request.cause == ChangePlanCause::Operator;
            if !by_operator {
                may_move(account)?;
            }
            let same_terms = !by_operator || account.allowance == request.allowance;
            if account.plan == request.plan && same_terms {
                return Err(Refusal::SamePlan);
            }
            // A test ledger keeps the revision that it copied; its own changes do not advance it.
            match account.id.mode {
                // Unlike ids, revisions rise in the order in which changes are written.
                Mode::Live => account.revision.saturating_add(1),
                Mode::Test => account.since,
            }
        }
    };
    let lot = account.subscription_lot();
    let mut guards = vec![
        Guard::Revision(account.revision),
        Guard::Granted(account.subscription.granted),
        Guard::FenceBelow(attempt.id),
    ];
    let mut effects = vec![Effect::Plan(request.plan.clone(), request.allowance, since)];
    let WithAllowance { left: kept, extras } = account.with_allowance(request.allowance);
    if extras != account.subscription.extras {
        effects.push(Effect::Extras(extras));
    }
    guards.extend(account.extras_stand());
    let difference = Difference::between(account.subscription.left, kept);
    let Difference { direction, amount } = difference;
    match direction {
        _ if amount.is_zero() => (),
        Direction::Credit => {
            crate::operation::grant::fits(account, amount).then_some(()).ok_or(Refusal::BalanceLimit)?;
            effects.push(Effect::Give(lot, amount));
        }
        Direction::Debit => {
            // Debits take the plan's credits before those that operators added. With fewer left than both together, the
            // change must be decided again.
            let untouched = amount.plus(extras.left).unwrap_or(Credits::MAX);
            guards.push(Guard::AtLeast(lot, untouched.min(account.subscription.left)));
            effects.push(Effect::Withdraw(amount));
        }
    }
    let entry = entry(account, difference, request, attempt);
    Ok(Posting { entry, guards, effects })
}

fn entry(account: &Account, difference: Difference, request: &ChangePlan, attempt: &Attempt) -> Entry {
    let Difference { direction, amount } = difference;
    let (lot, source) = (account.subscription_lot(), Source::Subscription);
    let moves = match direction {
        _ if amount.is_zero() => vec![],
        Direction::Credit => vec![Move::into(lot, source, amount)],
        Direction::Debit => vec![Move::out(lot, source, amount)],
    };
    let operation = Operation::own("credit.plan_change");
    let entry = attempt.entry(account, NewEntry { operation, direction, amount, moves });
    let (to, allowance) = (request.plan.clone(), request.allowance);
    Entry { switch: Some(PlanTransition { from: account.plan.clone(), to, allowance }), ..entry }
}

/// The subscription credits that a new allowance adds or removes.
#[derive(Clone, Copy)]
struct Difference {
    direction: Direction,
    amount: Credits,
}

impl Difference {
    fn between(left: Credits, wanted: Credits) -> Self {
        match wanted.less(left) {
            Some(amount) => Self { direction: Direction::Credit, amount },
            None => Self { direction: Direction::Debit, amount: left.less(wanted).unwrap_or_default() },
        }
    }
}
