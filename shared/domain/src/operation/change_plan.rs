use crate::ledger::month::WithAllowance;
use crate::operation::consume::{NewEntry, may_move};
use crate::{
    Account, Allowance, Credits, Direction, Effect, Entry, Guard, Head, Mode, Move, Operation, PlanId,
    Posting, Refusal, Source, Switch,
};

/// Another plan for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The plan.
    pub plan: PlanId,
    /// What it brings a month.
    pub allowance: Allowance,
    /// Who asks.
    pub cause: SubscribeCause,
}

/// Who wants another plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeCause {
    /// The organisation. The plan that it has already is no change.
    Owner,
    /// An operator, who may change the allowance of the same plan too.
    Operator,
    /// A test ledger that follows what the live one has since this revision.
    Follows(u64),
}

/// Decides a change of plan, which takes effect at once (contract, rule 4): of the month's subscription
/// credits those are left that the new plan brings and that were not spent yet. Whoever moves down and
/// up again finds what was spent still spent. Purchased and bonus credits stay.
///
/// # Errors
/// [`Refusal::Frozen`], [`Refusal::SamePlan`], [`Refusal::BalanceLimit`]. A test ledger that follows is
/// refused with [`Refusal::SamePlan`] alone: it has followed already, or gone its own way since.
pub fn subscribe(account: &Account, request: &Subscribe, head: &Head) -> Result<Posting, Refusal> {
    let since = match request.cause {
        SubscribeCause::Follows(followed) if account.since < followed => followed,
        SubscribeCause::Follows(_) => return Err(Refusal::SamePlan),
        SubscribeCause::Owner | SubscribeCause::Operator => {
            let by_operator = request.cause == SubscribeCause::Operator;
            if !by_operator {
                may_move(account)?;
            }
            let same_terms = !by_operator || account.allowance == request.allowance;
            if account.plan == request.plan && same_terms {
                return Err(Refusal::SamePlan);
            }
            // A test ledger remembers what it has followed, and its own changes are nobody else's.
            match account.id.mode {
                // Unlike ids, revisions rise in the order in which changes land.
                Mode::Live => account.revision.saturating_add(1),
                Mode::Test => account.since,
            }
        }
    };
    let lot = account.subscription_lot();
    let mut guards = vec![
        Guard::Revision(account.revision),
        Guard::Granted(account.subscription.granted),
        Guard::FenceBelow(head.id),
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
            // Where all that the plan brought goes, a rival debit that takes some of it has it decided again.
            let left = account.subscription.left;
            let untouched = amount.plus(extras.left).unwrap_or(Credits::MAX);
            guards.push(if kept == extras.left || request.allowance == Allowance::Unlimited {
                Guard::Exactly(lot, left)
            } else {
                Guard::AtLeast(lot, untouched)
            });
            effects.push(Effect::Withdraw(amount));
        }
    }
    let entry = entry(account, difference, request, head);
    Ok(Posting { entry, guards, effects })
}

fn entry(account: &Account, difference: Difference, request: &Subscribe, head: &Head) -> Entry {
    let Difference { direction, amount } = difference;
    let (lot, source) = (account.subscription_lot(), Source::Subscription);
    let moves = match direction {
        _ if amount.is_zero() => vec![],
        Direction::Credit => vec![Move::into(lot, source, amount)],
        Direction::Debit => vec![Move::out(lot, source, amount)],
    };
    let operation = Operation::own("credit.plan_change");
    let entry = head.entry(account, NewEntry { operation, direction, amount, moves });
    let (to, allowance) = (request.plan.clone(), request.allowance);
    Entry { switch: Some(Switch { from: account.plan.clone(), to, allowance }), ..entry }
}

/// How many subscription credits arrive or leave with an allowance.
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
