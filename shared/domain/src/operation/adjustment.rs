//! The rules of an operator's adjustment.

use crate::operation::consume::{LotChanges, NewEntry, take};
use crate::{
    Account, Amount, Attempt, Credits, Direction, Effect, Extras, Grant, GrantOrigin, Guard, LotId, Move,
    Operation, Posting, Refusal, Source, grant,
};

/// A correction by an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// Credit or debit.
    pub direction: Direction,
    /// The number of credits.
    pub amount: Amount,
    /// The source. When `None`, a credit goes to bonus credits and a debit follows the order of consumption.
    pub source: Option<Source>,
}

/// Decides an adjustment. Nothing goes below zero: an adjustment can neither take more credits than there are,
/// whatever the post-paid limit, nor settle more than is outstanding.
///
/// # Errors
/// For a credit those of [`grant`]; [`Refusal::NothingToHold`] for a credit of post-paid credits;
/// [`Refusal::NotOwed`]; [`Refusal::InsufficientCredits`].
pub fn adjust(account: &Account, request: &Adjustment, attempt: &Attempt) -> Result<Posting, Refusal> {
    match (request.direction, request.source) {
        (Direction::Credit, Some(Source::PostPaid)) => settle(account, request.amount.into(), attempt),
        (Direction::Credit, source) => {
            let source = source.unwrap_or(Source::Bonus);
            let origin = GrantOrigin::Adjustment;
            let arriving = Grant { source, amount: request.amount, service: None, expires_at: None, origin };
            grant(account, &arriving, attempt)
        }
        (Direction::Debit, Some(Source::PostPaid)) => Err(Refusal::NothingToHold),
        (Direction::Debit, source) => leave(account, request.amount.into(), source, attempt),
    }
}

/// Settles outstanding credits that were paid for outside of the system.
fn settle(account: &Account, amount: Credits, attempt: &Attempt) -> Result<Posting, Refusal> {
    let outstanding = account.post_paid.outstanding;
    if outstanding < amount {
        return Err(Refusal::NotOwed { outstanding });
    }
    let taken = LotChanges {
        moves: vec![Move::into(LotId::PostPaid, Source::PostPaid, amount)],
        guards: vec![Guard::Revision(account.revision), Guard::Owing(outstanding)],
        effects: vec![Effect::Repay(amount)],
    };
    Ok(posting(account, Direction::Credit, amount, taken, attempt))
}

fn leave(
    account: &Account,
    amount: Credits,
    source: Option<Source>,
    attempt: &Attempt,
) -> Result<Posting, Refusal> {
    // Lots that are restricted to a service can be corrected too.
    let mut payers = account.in_order(|lot| lot.is_current(attempt.now));
    payers.retain(|payer| source.is_none_or(|source| payer.source == source));
    let mut taken = take(account, amount, payers, Credits::ZERO)?;
    for effect in &mut taken.effects {
        // Credits that an operator takes were not spent, so a change of plan must not count them as spent.
        if let Effect::Take(LotId::Subscription(_), amount) = *effect {
            *effect = Effect::Withdraw(amount);
            taken.effects.push(Effect::Extras(without(account, amount)));
            taken.guards.push(Guard::Exactly(account.subscription_lot(), account.subscription.left));
            break;
        }
    }
    Ok(posting(account, Direction::Debit, amount, taken, attempt))
}

/// The operators' extras after they take `amount` more: the plan's credits are taken first.
fn without(account: &Account, amount: Credits) -> Extras {
    let extras = account.extras();
    let plan = account.subscription.left.less(extras.left).unwrap_or_default();
    let of_plan = plan.min(amount);
    let of_extras = amount.less(of_plan).unwrap_or_default();
    Extras {
        left: extras.left.less(of_extras).unwrap_or_default(),
        taken: extras.taken.plus(of_plan).unwrap_or(Credits::MAX),
        ..extras
    }
}

fn posting(
    account: &Account,
    direction: Direction,
    amount: Credits,
    changes: LotChanges,
    attempt: &Attempt,
) -> Posting {
    let LotChanges { moves, mut guards, effects } = changes;
    guards.push(Guard::FenceBelow(attempt.id));
    let operation = Operation::own("credit.adjustment");
    let entry = attempt.entry(account, NewEntry { operation, direction, amount, moves });
    Posting { entry, guards, effects }
}
