use chrono::{DateTime, SubsecRound, Utc};

use super::{
    Account, Allowance, Credits, Direction, Effect, Entry, Guard, Head, LotId, Move, Operation, Posting,
    Price, Quantity, Refusal, Service, Source,
};

/// A request to spend credits on one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consume {
    /// What was done.
    pub operation: Operation,
    /// What it costs in all: quantity × price.
    pub amount: Credits,
    /// The service it was done with; lots of that service may pay, and pay first.
    pub service: Option<Service>,
}

impl Consume {
    /// What `quantity` times `operation` costs at `price`.
    ///
    /// # Errors
    /// [`Refusal::BalanceLimit`] when that is more than one request may move.
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

/// Decides whether `account` may spend, and what changes if so. All or nothing, over as many lots
/// as it takes.
///
/// # Errors
/// [`Refusal::BalanceLimit`] when the month's usage would leave its range, then
/// [`Refusal::InsufficientCredits`].
pub fn consume(account: &Account, request: &Consume, head: &Head) -> Result<Posting, Refusal> {
    let amount = request.amount;
    account.used.plus(amount).ok_or(Refusal::BalanceLimit)?;
    let Taken { moves, mut guards, mut effects } = match account.allowance {
        _ if amount.is_zero() => Taken::default(),
        // Nothing is counted down, but what was used is told (contract, rule 4).
        Allowance::Unlimited => Taken {
            moves: vec![Move::out(account.subscription_lot(), Source::Subscription, amount)],
            guards: vec![Guard::Revision(account.revision)],
            effects: vec![],
        },
        Allowance::Monthly(_) => take(account, request, head.now)?,
    };
    guards.push(Guard::FenceBelow(head.id));
    if !amount.is_zero() {
        effects.push(Effect::Use(amount));
    }
    let entry = Entry {
        id: head.id,
        at: effective(account, head.now),
        operation: request.operation.clone(),
        direction: Direction::Debit,
        amount,
        moves,
        claim: Some(head.claim.clone()),
    };
    Ok(Posting { entry, guards, effects })
}

#[derive(Default)]
struct Taken {
    moves: Vec<Move>,
    guards: Vec<Guard>,
    effects: Vec<Effect>,
}

fn take(account: &Account, request: &Consume, now: DateTime<Utc>) -> Result<Taken, Refusal> {
    let payers = account.payers(request.service, now);
    let available =
        payers.iter().fold(Credits::ZERO, |sum, payer| sum.plus(payer.left).unwrap_or(Credits::MAX));
    // The lots' order is sure as long as no lot was added or refilled since it was seen.
    let mut taken = Taken { guards: vec![Guard::Revision(account.revision)], ..Taken::default() };
    taken.effects.extend(account.empty_lots().map(Effect::Drop));
    let mut wanted = request.amount;
    for payer in payers {
        if wanted.is_zero() {
            break;
        }
        let part = payer.left.min(wanted);
        wanted = wanted.less(part).unwrap_or(Credits::ZERO);
        taken.moves.push(Move::out(payer.lot, payer.source, part));
        if wanted.is_zero() {
            // The last lot need only cover its part: rivals may take from it before or after us.
            taken.guards.push(Guard::AtLeast(payer.lot, part));
            taken.effects.push(Effect::Take(payer.lot, part));
        } else {
            // A lot that is passed over must be empty, or a later lot would pay too early.
            taken.guards.push(Guard::Exactly(payer.lot, part));
            taken.effects.push(match payer.lot {
                LotId::Granted(id) => Effect::Drop(id),
                LotId::Subscription(_) => Effect::Take(payer.lot, part),
            });
        }
    }
    if wanted.is_zero() {
        Ok(taken)
    } else {
        Err(Refusal::InsufficientCredits { required: request.amount, available })
    }
}

/// When an entry takes effect: as it reached us, but never before the month it is booked in. A
/// request that was overtaken by the month's renewal belongs wholly to the new month. Whole seconds.
pub(super) fn effective(account: &Account, now: DateTime<Utc>) -> DateTime<Utc> {
    now.max(account.period.start()).trunc_subsecs(0)
}
