use std::collections::BTreeMap;

use crate::ledger::account::Payer;
use crate::ledger::lot::POOL;
use crate::operation::consume::{LotChanges, NewEntry, take};
use crate::operation::place::Arrivals;
use crate::{
    Account, Credits, DISPUTES_MAX, Direction, Disputed, Effect, Entry, EntryId, Guard, Head, LotId, Move,
    Operation, Posting, Refusal, Source,
};

/// The credits of a purchase that an event of its payment is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bought {
    /// How many of those that were paid for: all, or a part in proportion to the money.
    pub credits: Credits,
    /// The lot that the purchase opened or joined, and with how many; none when all of them settled a debt.
    pub lot: Option<(EntryId, Credits)>,
}

impl Bought {
    /// What an entry of a purchase brought.
    #[must_use]
    pub fn by(entry: &Entry) -> Self {
        let lot = entry.moves.iter().find_map(|part| match part.lot {
            LotId::Granted(id) => Some((id, part.amount)),
            LotId::Subscription(_) | LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => None,
        });
        Self { credits: entry.amount, lot }
    }
}

/// Decides what happens when a customer disputes a payment: what is left of its lot is set aside until the dispute
/// ends (contract, rule 10). Where the lot was joined by other purchases, the disputed one counts as spent
/// last. What comes back to the lot meanwhile is set aside too, see [`give_back`](crate::give_back).
///
/// # Errors
/// [`Refusal::TooManyDisputes`].
pub fn dispute_opened(account: &Account, bought: &Bought, head: &Head) -> Result<Posting, Refusal> {
    if account.disputes.len() >= DISPUTES_MAX {
        return Err(Refusal::TooManyDisputes);
    }
    let mut guards = vec![Guard::Revision(account.revision), Guard::FenceBelow(head.id)];
    let (mut moves, mut effects) = (vec![], vec![]);
    let mut aside = Credits::ZERO;
    let most = bought.credits;
    let lot = bought.lot.map_or(POOL, |(lot, _)| lot);
    let own = bought.lot.filter(|(lot, _)| *lot != POOL);
    // What came back of credits that had settled a debt, or found no place, is in the pool.
    for (id, cap) in own.into_iter().chain([(POOL, most)]) {
        let left = account.lots.get(&id).map_or(Credits::ZERO, |lot| lot.left);
        let part = left.min(cap).min(most.less(aside).unwrap_or_default());
        if part.is_zero() {
            continue;
        }
        moves.push(Move::out(LotId::Granted(id), Source::Purchased, part));
        // Rivals that spend from it meanwhile leave less to set aside.
        guards.push(Guard::Exactly(LotId::Granted(id), left));
        effects.push(if part == left { Effect::Drop(id) } else { Effect::Take(LotId::Granted(id), part) });
        aside = aside.plus(part).unwrap_or(Credits::MAX);
    }
    if !aside.is_zero() {
        moves.push(Move::into(LotId::Disputed(head.id), Source::Purchased, aside));
    }
    effects.push(Effect::Dispute(head.id, Some(Disputed { lot, aside, most })));
    let new = NewEntry {
        operation: Operation::own("credit.dispute"),
        direction: Direction::Debit,
        amount: aside,
        moves,
    };
    let entry = head.entry(account, new);
    Ok(Posting { entry, guards, effects })
}

/// Decides what happens when the dispute was won: what it has set aside is there again, in the very lot. It
/// settles what is outstanding first.
///
/// # Errors
/// [`Refusal::BalanceLimit`].
pub fn dispute_won(account: &Account, opened: &Entry, head: &Head) -> Result<Posting, Refusal> {
    let mut arrivals = Arrivals::new(account, head);
    let aside = thaw(account, opened, Credits::MAX, &mut arrivals)?;
    let mut effects = arrivals.effects();
    effects.extend(end(account, opened));
    let new = NewEntry {
        operation: Operation::own("credit.dispute_won"),
        direction: Direction::Credit,
        amount: aside,
        moves: arrivals.moves,
    };
    let entry = head.entry(account, new);
    Ok(Posting { entry, guards: arrivals.guards, effects })
}

/// Decides what happens when the dispute was lost: what it has set aside is gone. What had been spent is taken
/// from other purchased credits that settle a debt, and owed where these do not suffice.
///
/// # Errors
/// [`Refusal::BalanceLimit`].
pub fn dispute_lost(
    account: &Account,
    bought: &Bought,
    opened: &Entry,
    head: &Head,
) -> Result<Posting, Refusal> {
    let aside = account.disputes.get(&opened.id).map_or(Credits::ZERO, |dispute| dispute.aside);
    let gone = aside.min(bought.credits);
    let spent = bought.credits.less(gone).unwrap_or_default();
    if let Some(back) = aside.less(gone).filter(|back| !back.is_zero()) {
        return lost_in_part(account, back, opened, head);
    }
    let LotChanges { mut moves, guards, mut effects } = collect(account, spent, None, head)?;
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
    let entry = head.entry(account, new);
    Ok(Posting { entry, guards, effects })
}

/// The dispute is about fewer credits than it has set aside: `back` of them return, and the others are gone.
fn lost_in_part(account: &Account, back: Credits, opened: &Entry, head: &Head) -> Result<Posting, Refusal> {
    let mut arrivals = Arrivals::new(account, head);
    thaw(account, opened, back, &mut arrivals)?;
    let aside = account.disputes.get(&opened.id).map_or(Credits::ZERO, |dispute| dispute.aside);
    let gone = aside.less(back).unwrap_or_default();
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
    let entry = head.entry(account, new);
    Ok(Posting { entry, guards: arrivals.guards, effects })
}

/// Decides what happens when a payment, or a part of it, was given back: the credits that it paid for are taken
/// back, from the purchase's lot, from other purchased credits that settle a debt, and then from what a dispute
/// has set aside of the purchase. What is spent already is owed.
///
/// # Errors
/// [`Refusal::BalanceLimit`].
pub fn payment_refunded(account: &Account, bought: &Bought, head: &Head) -> Result<Posting, Refusal> {
    let lot = bought.lot.map(|(lot, _)| lot);
    let plus = |sum: Credits, left| sum.plus(left).unwrap_or(Credits::MAX);
    let standing = account.plain_purchases().fold(Credits::ZERO, |sum, (_, left)| plus(sum, left));
    let mut wanted = bought.credits.less(standing.min(bought.credits)).unwrap_or_default();
    let mut from_disputes = vec![];
    let mut changes = BTreeMap::new();
    for (id, dispute) in account.disputes.iter().filter(|(_, dispute)| Some(dispute.lot) == lot) {
        let part = dispute.aside.min(wanted);
        if !part.is_zero() {
            wanted = wanted.less(part).unwrap_or_default();
            // What the dispute is about stays: the refunded credits are others of the same purchase.
            let left = Disputed { aside: dispute.aside.less(part).unwrap_or_default(), ..*dispute };
            from_disputes.push(Move::out(LotId::Disputed(*id), Source::Purchased, part));
            changes.insert(*id, left);
        }
    }
    let aside = from_disputes.iter().fold(Credits::ZERO, |sum, part| sum.plus(part.amount).unwrap_or(sum));
    let from_lots = bought.credits.less(aside).unwrap_or_default();
    let LotChanges { mut moves, guards, mut effects } = collect(account, from_lots, lot, head)?;
    moves.extend(from_disputes);
    effects.extend(changes.into_iter().map(|(id, dispute)| Effect::Dispute(id, Some(dispute))));
    let (operation, amount) = (Operation::own("credit.payment_refund"), bought.credits);
    let entry = head.entry(account, NewEntry { operation, direction: Direction::Debit, amount, moves });
    Ok(Posting { entry, guards, effects })
}

/// Takes `amount` from purchased credits that settle a debt, those of the lot `first` before others, and owes
/// what they lack.
fn collect(
    account: &Account,
    amount: Credits,
    first: Option<EntryId>,
    head: &Head,
) -> Result<LotChanges, Refusal> {
    let mut lots: Vec<_> = account.plain_purchases().collect();
    lots.sort_by_key(|(id, _)| (Some(*id) != first, *id));
    let standing = lots.iter().fold(Credits::ZERO, |sum, (_, left)| sum.plus(*left).unwrap_or(Credits::MAX));
    let payers = lots.into_iter().map(|(id, left)| Payer {
        lot: LotId::Granted(id),
        source: Source::Purchased,
        left,
        terms: crate::Terms::default(),
    });
    let taken = amount.min(standing);
    let mut collected = take(account, taken, payers.collect(), Credits::ZERO)?;
    let owed = amount.less(taken).unwrap_or_default();
    if !owed.is_zero() {
        account.post_paid.outstanding.plus(owed).ok_or(Refusal::BalanceLimit)?;
        collected.moves.push(Move::out(LotId::PostPaid, Source::PostPaid, owed));
        collected.effects.push(Effect::Owe(owed));
    }
    collected.guards.push(Guard::FenceBelow(head.id));
    Ok(collected)
}

/// Puts up to `most` credits that a dispute has set aside back into its lot; returns how many.
fn thaw(
    account: &Account,
    opened: &Entry,
    most: Credits,
    arrivals: &mut Arrivals<'_>,
) -> Result<Credits, Refusal> {
    let Some(dispute) = account.disputes.get(&opened.id) else { return Ok(Credits::ZERO) };
    let back = dispute.aside.min(most);
    if !back.is_zero() {
        arrivals.moves.push(Move::out(LotId::Disputed(opened.id), Source::Purchased, back));
        arrivals.plain_purchase(dispute.lot, back)?;
    }
    Ok(back)
}

fn end(account: &Account, opened: &Entry) -> Option<Effect> {
    account.disputes.contains_key(&opened.id).then_some(Effect::Dispute(opened.id, None))
}
