//! The rules of a debit.

use chrono::{DateTime, SubsecRound, Utc};

use crate::ledger::account::Payer;
use crate::{
    Account, Allowance, Attempt, Credits, Direction, Effect, Entry, Guard, LotId, Move, Operation, Posting,
    Price, Quantity, Refusal, Service, Source,
};

/// A request to spend credits on one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consume {
    /// The operation.
    pub operation: Operation,
    /// The total price: quantity × price.
    pub amount: Credits,
    /// The service that was used; lots restricted to it can pay, and pay first.
    pub service: Option<Service>,
}

impl Consume {
    /// A request for `quantity` times `operation` at `price`.
    ///
    /// # Errors
    /// [`Refusal::BalanceLimit`] when the total exceeds what one request may move.
    pub fn priced(
        operation: Operation,
        price: Price,
        quantity: Quantity,
        service: Option<Service>,
    ) -> Result<Self, Refusal> {
        let amount = price.credits.times(quantity).ok_or(Refusal::BalanceLimit)?;
        Ok(Self { operation, amount, service })
    }
}

/// Decides a debit. It is charged in full or refused, over any number of lots.
///
/// # Errors
/// [`Refusal::Frozen`]; [`Refusal::BalanceLimit`] when the month's usage would leave its range; then
/// [`Refusal::PlanLimit`] on an unlimited plan, [`Refusal::InsufficientCredits`] on any other.
pub fn consume(account: &Account, request: &Consume, attempt: &Attempt) -> Result<Posting, Refusal> {
    let amount = request.amount;
    may_move(account)?;
    account.used.plus(amount).ok_or(Refusal::BalanceLimit)?;
    let LotChanges { moves, mut guards, mut effects } = match account.allowance {
        _ if amount.is_zero() => {
            LotChanges { guards: vec![Guard::Revision(account.revision)], ..LotChanges::default() }
        }
        // No balance is reduced, but usage is recorded (contract, rule 4).
        Allowance::Unlimited => {
            let cap = account.monthly_cap();
            let at_most = cap.less(amount).filter(|most| account.subscription.granted <= *most);
            let at_most = at_most.ok_or(Refusal::PlanLimit { cap })?;
            let paid_by = LotId::Unlimited(account.period);
            LotChanges {
                moves: vec![Move::out(paid_by, Source::Subscription, amount)],
                guards: vec![Guard::Revision(account.revision), Guard::GrantedAtMost(at_most)],
                effects: vec![Effect::Spend(amount)],
            }
        }
        Allowance::Monthly(_) => {
            let room = account.post_paid.limit.less(account.post_paid.outstanding).unwrap_or_default();
            take(account, amount, account.payers(request.service, attempt.now), room).map_err(|refusal| {
                refusal.passing_over(account.passed_over(&[request.service], attempt.now))
            })?
        }
    };
    guards.push(Guard::FenceBelow(attempt.id));
    if !amount.is_zero() {
        effects.push(Effect::Use(amount));
    }
    let operation = request.operation.clone();
    let entry = attempt.entry(account, NewEntry { operation, direction: Direction::Debit, amount, moves });
    Ok(Posting { entry, guards, effects })
}

/// Refuses a frozen account, which can neither spend nor buy.
pub(crate) fn may_move(account: &Account) -> Result<(), Refusal> {
    if account.frozen { Err(Refusal::Frozen) } else { Ok(()) }
}

/// Credits that move between lots, and what must be true of the account for it.
#[derive(Default)]
pub(crate) struct LotChanges {
    pub(crate) moves: Vec<Move>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) effects: Vec<Effect>,
}

/// Takes `amount` from `payers` in order, and the rest post-paid, up to `room` (contract, rule 9).
pub(crate) fn take(
    account: &Account,
    amount: Credits,
    payers: Vec<Payer>,
    room: Credits,
) -> Result<LotChanges, Refusal> {
    let available = payers.iter().fold(room, |sum, payer| sum.plus(payer.left).unwrap_or(Credits::MAX));
    if available < amount {
        return Err(Refusal::InsufficientCredits { required: amount, available, passed_over: vec![] });
    }
    // The order of the lots is valid as long as no lot was added or refilled since the account was read.
    let mut taken = LotChanges { guards: vec![Guard::Revision(account.revision)], ..LotChanges::default() };
    taken.effects.extend(account.empty_lots().map(Effect::Drop));
    let mut wanted = amount;
    for payer in payers {
        if wanted.is_zero() {
            break;
        }
        let part = payer.left.min(wanted);
        wanted = wanted.less(part).unwrap_or(Credits::ZERO);
        taken.moves.push(Move::out(payer.lot, payer.source, part).on(payer.terms));
        if wanted.is_zero() {
            // The last lot only has to cover its part: concurrent debits may take from it before or after.
            taken.guards.push(Guard::AtLeast(payer.lot, part));
            taken.effects.push(Effect::Take(payer.lot, part));
        } else {
            // A lot before the last must be emptied, or a later lot would pay too early.
            taken.guards.push(Guard::Exactly(payer.lot, part));
            taken.effects.push(match payer.lot {
                LotId::Granted(id) => Effect::Drop(id),
                LotId::Subscription(_) | LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => {
                    Effect::Take(payer.lot, part)
                }
            });
        }
    }
    if let Some(most) = account.post_paid.limit.less(wanted).filter(|_| !wanted.is_zero()) {
        taken.moves.push(Move::out(LotId::PostPaid, Source::PostPaid, wanted));
        // Concurrent debits may add to the outstanding credits, as long as all fit.
        taken.guards.push(Guard::OwingAtMost(most));
        taken.effects.push(Effect::Owe(wanted));
    }
    Ok(taken)
}

/// The operation-specific fields of an entry.
pub(crate) struct NewEntry {
    pub(crate) operation: Operation,
    pub(crate) direction: Direction,
    pub(crate) amount: Credits,
    pub(crate) moves: Vec<Move>,
}

impl NewEntry {
    /// The entry of an operation of the ledger that moves no credits.
    pub(crate) fn without_moves(operation: &'static str, direction: Direction) -> Self {
        Self { operation: Operation::own(operation), direction, amount: Credits::ZERO, moves: vec![] }
    }
}

impl Attempt {
    /// The entry of this attempt on an account.
    pub(crate) fn entry(&self, account: &Account, new: NewEntry) -> Entry {
        let NewEntry { operation, direction, amount, moves } = new;
        Entry {
            id: self.id,
            at: effective(account, self.now),
            operation,
            direction,
            amount,
            moves,
            claim: Some(self.claim.clone()),
            switch: None,
            parts: vec![],
        }
    }
}

/// When an entry takes effect: when the request was received, but never before the month in which it is booked.
/// A request that a renewal overtook belongs entirely to the new month. Whole seconds.
pub(crate) fn effective(account: &Account, now: DateTime<Utc>) -> DateTime<Utc> {
    now.max(account.period.start()).trunc_subsecs(0)
}
