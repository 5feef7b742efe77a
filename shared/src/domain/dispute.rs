use super::{
    Account, Credits, Direction, Effect, Entry, EntryId, Guard, Head, Lot, LotId, Move, Operation, Posting,
    Refusal, Source,
};

/// What a disputed purchase brought, as its entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bought {
    /// All credits that were paid for.
    pub credits: Credits,
    /// The lot that they opened or joined, and how many; none when all of them settled a debt.
    pub lot: Option<(EntryId, Credits)>,
}

impl Bought {
    /// What an entry of a purchase brought.
    #[must_use]
    pub fn by(entry: &Entry) -> Self {
        let lot = entry.moves.iter().find_map(|part| match part.lot {
            LotId::Granted(id) => Some((id, part.amount)),
            LotId::Subscription(_) | LotId::PostPaid => None,
        });
        Self { credits: entry.amount, lot }
    }
}

/// A customer disputes a payment: what is left of its lot is set aside until the dispute ends
/// (contract, rule 10). Where the lot was joined by other purchases, the disputed one counts as spent
/// last.
#[must_use]
pub fn dispute_opened(account: &Account, bought: &Bought, head: &Head) -> Posting {
    let mut guards = vec![Guard::Revision(account.revision), Guard::FenceBelow(head.id)];
    let (mut moves, mut effects) = (vec![], vec![]);
    let standing = bought.lot.and_then(|(id, most)| Some((id, account.lots.get(&id)?.left, most)));
    if let Some((id, left, most)) = standing.filter(|(_, left, _)| !left.is_zero()) {
        let lot = LotId::Granted(id);
        let frozen = left.min(most);
        moves.push(Move::out(lot, Source::Purchased, frozen));
        // Rivals that spend from it meanwhile leave less to set aside.
        guards.push(Guard::Exactly(lot, left));
        effects.push(if frozen == left { Effect::Drop(id) } else { Effect::Take(lot, frozen) });
    }
    let amount = total(&moves);
    Posting {
        entry: entry(account, "credit.dispute", Direction::Debit, (amount, moves), head),
        guards,
        effects,
    }
}

/// The dispute was won: what `opened` had set aside is there again, in the very lot.
///
/// # Errors
/// [`Refusal::BalanceLimit`].
pub fn dispute_won(account: &Account, opened: &Entry, head: &Head) -> Result<Posting, Refusal> {
    let mut guards = vec![Guard::Revision(account.revision), Guard::FenceBelow(head.id)];
    let (mut moves, mut effects) = (vec![], vec![]);
    for part in &opened.moves {
        let LotId::Granted(id) = part.lot else { continue };
        moves.push(Move::into(part.lot, part.source, part.amount));
        effects.push(match account.lots.get(&id) {
            Some(lot) => {
                lot.left.plus(part.amount).ok_or(Refusal::BalanceLimit)?;
                // A rival debit may have emptied it meanwhile, and had it forgotten.
                guards.push(Guard::AtLeast(part.lot, Credits::ZERO));
                Effect::Give(part.lot, part.amount)
            }
            // Purchases of money open plain lots.
            None => {
                let lot = Lot { source: part.source, left: part.amount, service: None, expires_at: None };
                Effect::Open(id, lot)
            }
        });
    }
    let amount = total(&moves);
    let entry = entry(account, "credit.dispute_won", Direction::Credit, (amount, moves), head);
    Ok(Posting { entry, guards, effects })
}

/// The dispute was lost: what `opened` had set aside stays gone, and what had been spent before is owed.
///
/// # Errors
/// [`Refusal::BalanceLimit`].
pub fn dispute_lost(
    account: &Account,
    bought: &Bought,
    opened: &Entry,
    head: &Head,
) -> Result<Posting, Refusal> {
    let spent = bought.credits.less(opened.amount).unwrap_or_default();
    let mut guards = vec![Guard::Revision(account.revision), Guard::FenceBelow(head.id)];
    let (mut moves, mut effects) = (vec![], vec![]);
    if !spent.is_zero() {
        account.post_paid.outstanding.plus(spent).ok_or(Refusal::BalanceLimit)?;
        moves.push(Move::out(LotId::PostPaid, Source::PostPaid, spent));
        guards.push(Guard::OwingAtMost(Credits::MAX.less(spent).unwrap_or_default()));
        effects.push(Effect::Owe(spent));
    }
    let entry = entry(account, "credit.dispute_lost", Direction::Debit, (spent, moves), head);
    Ok(Posting { entry, guards, effects })
}

fn total(moves: &[Move]) -> Credits {
    moves.iter().fold(Credits::ZERO, |sum, part| sum.plus(part.amount).unwrap_or(Credits::MAX))
}

fn entry(
    account: &Account,
    operation: &'static str,
    direction: Direction,
    (amount, moves): (Credits, Vec<Move>),
    head: &Head,
) -> Entry {
    head.entry(account, Operation::own(operation), (direction, amount), moves)
}
