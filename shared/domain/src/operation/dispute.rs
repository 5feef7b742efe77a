//! The rules of disputes and of refunded payments.

use std::collections::BTreeMap;

use crate::ledger::account::Payer;
use crate::ledger::lot::POOL;
use crate::operation::consume::{LotChanges, NewEntry, take};
use crate::operation::place::Arrivals;
use crate::{
    Account, Attempt, Credits, DISPUTES_MAX, Direction, DisputedCredits, Effect, Entry, EntryId, Guard, Lot,
    LotId, Move, Operation, Posting, Refusal, Source, Terms,
};

/// The credits of a purchase that a refund or a dispute of its payment concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurchasedCredits {
    /// The number of credits: all, or a part in proportion to the money.
    pub credits: Credits,
    /// The lot to which the purchase added credits, and how many; `None` when all of them settled outstanding
    /// credits.
    pub lot: Option<(EntryId, Credits)>,
    /// The terms of that lot: its service, if the credits were bought for one.
    pub terms: Terms,
}

impl PurchasedCredits {
    /// The credits that a purchase's entry granted.
    #[must_use]
    pub fn by(entry: &Entry) -> Self {
        let granted = entry.moves.iter().find_map(|part| match part.lot {
            LotId::Granted(id) => Some((id, part)),
            LotId::Subscription(_) | LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => None,
        });
        let terms = granted.map(|(_, part)| part.terms).unwrap_or_default();
        Self { credits: entry.amount, lot: granted.map(|(id, part)| (id, part.amount)), terms }
    }
}

/// Decides the opening of a dispute: the remaining credits of the purchase's lot are set aside until the
/// dispute is closed (contract, rule 10). Where other purchases joined the lot, the disputed credits count as
/// spent last. Credits that return to the lot meanwhile are set aside too, see [`restore`](crate::restore).
///
/// # Errors
/// [`Refusal::TooManyDisputes`].
pub fn dispute_opened(
    account: &Account,
    bought: &PurchasedCredits,
    attempt: &Attempt,
) -> Result<Posting, Refusal> {
    if account.disputes.len() >= DISPUTES_MAX {
        return Err(Refusal::TooManyDisputes);
    }
    let mut guards = vec![Guard::Revision(account.revision), Guard::FenceBelow(attempt.id)];
    let (mut moves, mut effects) = (vec![], vec![]);
    let mut aside = Credits::ZERO;
    let most = bought.credits;
    let lot = bought.lot.map_or(POOL, |(lot, _)| lot);
    let own = bought.lot.filter(|(lot, _)| *lot != POOL);
    // The pool contains returned credits without a service that had settled a debt or found no lot.
    let pool = bought.terms.are_plain().then_some((POOL, most));
    for (id, cap) in own.into_iter().chain(pool) {
        let left = account.lots.get(&id).map_or(Credits::ZERO, |lot| lot.left);
        let part = left.min(cap).min(most.less(aside).unwrap_or_default());
        if part.is_zero() {
            continue;
        }
        moves.push(Move::out(LotId::Granted(id), Source::Purchased, part).on(bought.terms));
        // Concurrent debits of this lot leave less to set aside.
        guards.push(Guard::Exactly(LotId::Granted(id), left));
        effects.push(if part == left { Effect::Drop(id) } else { Effect::Take(LotId::Granted(id), part) });
        aside = aside.plus(part).unwrap_or(Credits::MAX);
    }
    if !aside.is_zero() {
        moves.push(Move::into(LotId::Disputed(attempt.id), Source::Purchased, aside));
    }
    effects.push(Effect::Dispute(attempt.id, Some(DisputedCredits { lot, aside, most })));
    let new = NewEntry {
        operation: Operation::own("credit.dispute"),
        direction: Direction::Debit,
        amount: aside,
        moves,
    };
    let entry = attempt.entry(account, new);
    Ok(Posting { entry, guards, effects })
}

/// Decides a won dispute: the credits set aside return to the same lot, on its terms. Plain ones first settle outstanding
/// credits.
///
/// # Errors
/// [`Refusal::BalanceLimit`].
pub fn dispute_won(
    account: &Account,
    bought: &PurchasedCredits,
    opened: &Entry,
    attempt: &Attempt,
) -> Result<Posting, Refusal> {
    let mut arrivals = Arrivals::new(account, attempt);
    let returning = PurchasedCredits { credits: Credits::MAX, ..*bought };
    let aside = thaw(account, opened, &returning, &mut arrivals)?;
    let mut effects = arrivals.effects();
    effects.extend(end(account, opened));
    let new = NewEntry {
        operation: Operation::own("credit.dispute_won"),
        direction: Direction::Credit,
        amount: aside,
        moves: arrivals.moves,
    };
    let entry = attempt.entry(account, new);
    Ok(Posting { entry, guards: arrivals.guards, effects })
}

/// Decides a lost dispute: the credits set aside are removed. Credits that were already spent are taken from
/// other plain purchased credits, and the rest becomes outstanding.
///
/// # Errors
/// [`Refusal::BalanceLimit`].
pub fn dispute_lost(
    account: &Account,
    bought: &PurchasedCredits,
    opened: &Entry,
    attempt: &Attempt,
) -> Result<Posting, Refusal> {
    let aside = account.disputes.get(&opened.id).map_or(Credits::ZERO, |dispute| dispute.aside);
    let gone = aside.min(bought.credits);
    let spent = bought.credits.less(gone).unwrap_or_default();
    if let Some(back) = aside.less(gone).filter(|back| !back.is_zero()) {
        let back = PurchasedCredits { credits: back, ..*bought };
        return lost_in_part(account, &back, opened, attempt);
    }
    let spent_of = PurchasedCredits { credits: spent, lot: None, terms: Terms::default() };
    let LotChanges { mut moves, guards, mut effects } = collect(account, &spent_of, attempt)?;
    if !gone.is_zero() {
        moves.push(Move::out(LotId::Disputed(opened.id), Source::Purchased, gone));
    }
    effects.extend(end(account, opened));
    let new = NewEntry {
        operation: Operation::own("credit.dispute_lost"),
        direction: Direction::Debit,
        amount: spent,
        moves,
    };
    let entry = attempt.entry(account, new);
    Ok(Posting { entry, guards, effects })
}

/// The lost dispute concerns fewer credits than were set aside: `back` of them return, and the others are
/// removed.
fn lost_in_part(
    account: &Account,
    back: &PurchasedCredits,
    opened: &Entry,
    attempt: &Attempt,
) -> Result<Posting, Refusal> {
    let mut arrivals = Arrivals::new(account, attempt);
    thaw(account, opened, back, &mut arrivals)?;
    let aside = account.disputes.get(&opened.id).map_or(Credits::ZERO, |dispute| dispute.aside);
    let gone = aside.less(back.credits).unwrap_or_default();
    if !gone.is_zero() {
        arrivals.moves.push(Move::out(LotId::Disputed(opened.id), Source::Purchased, gone));
    }
    let mut effects = arrivals.effects();
    effects.extend(end(account, opened));
    let new = NewEntry {
        operation: Operation::own("credit.dispute_lost"),
        direction: Direction::Debit,
        amount: Credits::ZERO,
        moves: arrivals.moves,
    };
    let entry = attempt.entry(account, new);
    Ok(Posting { entry, guards: arrivals.guards, effects })
}

/// Decides a refund of a payment or a part of it: its credits are taken back, first from the purchase's lot,
/// then from other purchased credits of its service and from plain ones, then from credits that a dispute of the purchase has set aside.
/// Credits that were already spent become outstanding.
///
/// # Errors
/// [`Refusal::BalanceLimit`].
pub fn payment_refunded(
    account: &Account,
    bought: &PurchasedCredits,
    attempt: &Attempt,
) -> Result<Posting, Refusal> {
    let lot = bought.lot.map(|(lot, _)| lot);
    let plus = |sum: Credits, left| sum.plus(left).unwrap_or(Credits::MAX);
    let status = collectable(account, bought.terms).fold(Credits::ZERO, |sum, (_, lot)| plus(sum, lot.left));
    let mut wanted = bought.credits.less(status.min(bought.credits)).unwrap_or_default();
    let mut from_disputes = vec![];
    let mut changes = BTreeMap::new();
    for (id, dispute) in account.disputes.iter().filter(|(_, dispute)| Some(dispute.lot) == lot) {
        let part = dispute.aside.min(wanted);
        if !part.is_zero() {
            wanted = wanted.less(part).unwrap_or_default();
            // The dispute still concerns the same credits: the refunded credits are others of the same purchase.
            let left = DisputedCredits { aside: dispute.aside.less(part).unwrap_or_default(), ..*dispute };
            from_disputes.push(Move::out(LotId::Disputed(*id), Source::Purchased, part));
            changes.insert(*id, left);
        }
    }
    let aside = from_disputes.iter().fold(Credits::ZERO, |sum, part| sum.plus(part.amount).unwrap_or(sum));
    let from_lots = bought.credits.less(aside).unwrap_or_default();
    let from_lots = PurchasedCredits { credits: from_lots, ..*bought };
    let LotChanges { mut moves, guards, mut effects } = collect(account, &from_lots, attempt)?;
    moves.extend(from_disputes);
    effects.extend(changes.into_iter().map(|(id, dispute)| Effect::Dispute(id, Some(dispute))));
    let (operation, amount) = (Operation::own("credit.payment_refund"), bought.credits);
    let entry = attempt.entry(account, NewEntry { operation, direction: Direction::Debit, amount, moves });
    Ok(Posting { entry, guards, effects })
}

/// The lots that a refund of a payment takes credits from: purchased ones without an end, plain or of a service.
fn collectable(account: &Account, terms: Terms) -> impl Iterator<Item = (EntryId, &Lot)> {
    let is_alike = move |lot: &Lot| lot.source == Source::Purchased && lot.terms() == terms;
    let lots = account.lots.iter().filter(move |(_, lot)| lot.is_plain_purchase() || is_alike(lot));
    lots.filter(|(_, lot)| !lot.left.is_zero()).map(|(id, lot)| (*id, lot))
}

/// Takes `bought.credits` from the purchase's lot, from others of its service, and from plain purchased credits. The rest
/// becomes outstanding.
fn collect(account: &Account, bought: &PurchasedCredits, attempt: &Attempt) -> Result<LotChanges, Refusal> {
    let (amount, first) = (bought.credits, bought.lot.map(|(lot, _)| lot));
    let mut lots: Vec<_> = collectable(account, bought.terms).collect();
    lots.sort_by_key(|(id, lot)| (Some(*id) != first, lot.service.is_none(), *id));
    let status = lots.iter().fold(Credits::ZERO, |sum, (_, lot)| sum.plus(lot.left).unwrap_or(Credits::MAX));
    let payers = lots.into_iter().map(|(id, lot)| Payer {
        lot: LotId::Granted(id),
        source: Source::Purchased,
        left: lot.left,
        terms: lot.terms(),
    });
    let taken = amount.min(status);
    let mut collected = take(account, taken, payers.collect(), Credits::ZERO)?;
    let owed = amount.less(taken).unwrap_or_default();
    if !owed.is_zero() {
        account.post_paid.outstanding.plus(owed).ok_or(Refusal::BalanceLimit)?;
        collected.moves.push(Move::out(LotId::PostPaid, Source::PostPaid, owed));
        collected.effects.push(Effect::Owe(owed));
    }
    collected.guards.push(Guard::FenceBelow(attempt.id));
    Ok(collected)
}

/// Returns up to `returning.credits` credits that a dispute has set aside to their lot, on its terms; returns the number.
fn thaw(
    account: &Account,
    opened: &Entry,
    returning: &PurchasedCredits,
    arrivals: &mut Arrivals<'_>,
) -> Result<Credits, Refusal> {
    let Some(dispute) = account.disputes.get(&opened.id) else { return Ok(Credits::ZERO) };
    let back = dispute.aside.min(returning.credits);
    if !back.is_zero() {
        arrivals.moves.push(Move::out(LotId::Disputed(opened.id), Source::Purchased, back));
        let Terms { service, expires_at } = returning.terms;
        if returning.terms.are_plain() {
            arrivals.plain_purchase(dispute.lot, back)?;
        } else {
            let lot = Lot { source: Source::Purchased, left: back, service, expires_at };
            arrivals.place(dispute.lot, lot)?;
        }
    }
    Ok(back)
}

fn end(account: &Account, opened: &Entry) -> Option<Effect> {
    account.disputes.contains_key(&opened.id).then_some(Effect::Dispute(opened.id, None))
}
