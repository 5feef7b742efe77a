use super::consume::may_move;
use super::month::WithAllowance;
use super::{
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
    let (direction, amount) = difference(account.subscription.left, kept);
    match direction {
        _ if amount.is_zero() => (),
        Direction::Credit => {
            super::grant::fits(account, amount).then_some(()).ok_or(Refusal::BalanceLimit)?;
            effects.push(Effect::Give(lot, amount));
        }
        Direction::Debit => {
            // Debits take what the plan brings before what operators have added: with less left than the two, the
            // change is decided again.
            let untouched = amount.plus(extras.left).unwrap_or(Credits::MAX);
            guards.push(Guard::AtLeast(lot, untouched.min(account.subscription.left)));
            effects.push(Effect::Withdraw(amount));
        }
    }
    let entry = entry(account, (direction, amount), (request.plan.clone(), request.allowance), head);
    Ok(Posting { entry, guards, effects })
}

fn entry(
    account: &Account,
    (direction, amount): (Direction, Credits),
    (to, allowance): (PlanId, Allowance),
    head: &Head,
) -> Entry {
    let (lot, source) = (account.subscription_lot(), Source::Subscription);
    let moves = match direction {
        _ if amount.is_zero() => vec![],
        Direction::Credit => vec![Move::into(lot, source, amount)],
        Direction::Debit => vec![Move::out(lot, source, amount)],
    };
    let entry = head.entry(account, Operation::own("credit.plan_change"), (direction, amount), moves);
    Entry { switch: Some(Switch { from: account.plan.clone(), to, allowance }), ..entry }
}

/// How many subscription credits arrive or leave with an allowance.
fn difference(left: Credits, wanted: Credits) -> (Direction, Credits) {
    match wanted.less(left) {
        Some(more) => (Direction::Credit, more),
        None => (Direction::Debit, left.less(wanted).unwrap_or_default()),
    }
}
