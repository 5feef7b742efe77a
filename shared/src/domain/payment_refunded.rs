use super::{
    Account, Bought, Credits, Direction, Effect, EntryId, Guard, Head, LotId, Move, Operation, Posting,
    Refusal, Source,
};

/// The money of a payment was refunded: `bought.credits` are taken back, from the lot that the purchase filled
/// first, then from other purchased credits; the rest is owed (contract, rule 10).
///
/// # Errors
/// [`Refusal::BalanceLimit`].
pub fn payment_refunded(account: &Account, bought: &Bought, head: &Head) -> Result<Posting, Refusal> {
    let mut guards = vec![Guard::Revision(account.revision), Guard::FenceBelow(head.id)];
    let (mut moves, mut effects, mut rest) = (vec![], vec![], bought.credits);
    for (id, left) in payers(account, bought) {
        let taken = left.min(rest);
        if taken.is_zero() {
            continue;
        }
        rest = rest.less(taken).unwrap_or_default();
        let lot = LotId::Granted(id);
        moves.push(Move::out(lot, Source::Purchased, taken));
        guards.push(Guard::Exactly(lot, left));
        effects.push(if taken == left { Effect::Drop(id) } else { Effect::Take(lot, taken) });
    }
    if !rest.is_zero() {
        account.post_paid.outstanding.plus(rest).ok_or(Refusal::BalanceLimit)?;
        moves.push(Move::out(LotId::PostPaid, Source::PostPaid, rest));
        guards.push(Guard::OwingAtMost(Credits::MAX.less(rest).unwrap_or_default()));
        effects.push(Effect::Owe(rest));
    }
    let operation = Operation::own("credit.payment_refunded");
    let entry = head.entry(account, operation, (Direction::Debit, bought.credits), moves);
    Ok(Posting { entry, guards, effects })
}

/// The lots of plain purchased credits and what they have: the purchase's own first, then the oldest.
fn payers(account: &Account, bought: &Bought) -> Vec<(EntryId, Credits)> {
    let own = bought.lot.map(|(id, _)| id);
    let plain = account.lots.iter().filter(|(_, lot)| {
        lot.source == Source::Purchased && lot.service.is_none() && lot.expires_at.is_none()
    });
    let mut payers: Vec<_> = plain.map(|(id, lot)| (*id, lot.left)).collect();
    payers.sort_by_key(|(id, _)| (Some(*id) != own, *id));
    payers
}
