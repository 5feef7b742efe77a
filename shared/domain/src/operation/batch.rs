//! The rules of a batch, and its ledger lines.

use std::collections::BTreeMap;

use crate::operation::consume::NewEntry;
use crate::{
    Account, Attempt, BatchItem, BatchOutcome, BatchPosition, Consume, Credits, Details, Direction, Effect,
    Entry, Guard, LotId, Move, Operation, Posting, Receipt, Refusal, consume,
};

/// A batch: debits that are decided and written together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The items in order; `None` for one that cannot be charged.
    pub items: Vec<Option<Consume>>,
    /// Whether all items are charged or none.
    pub atomic: bool,
}

/// Decides a batch: each item in turn as a separate debit, then all of them as one change of the account. Of an
/// atomic batch all items are charged or none.
///
/// # Errors
/// As [`consume`]; a batch that is not atomic is never refused for lack of credits.
pub fn batch(account: &Account, request: &Batch, attempt: &Attempt) -> Result<Posting, Refusal> {
    crate::operation::consume::may_move(account)?;
    let mut after = account.clone();
    let mut totals = BatchTotals::default();
    for (item, line) in request.items.iter().zip(lines(attempt)) {
        let part = match item {
            None => BatchOutcome::Unpriced,
            Some(item) => match consume(&after, item, &line) {
                Ok(posting) => {
                    after = after.apply(&posting).ok_or(Refusal::BalanceLimit)?;
                    totals.add(&posting);
                    BatchOutcome::Taken(item.amount)
                }
                Err(Refusal::InsufficientCredits { required, available, .. }) => {
                    BatchOutcome::Short { required, available }
                }
                Err(refusal) => return Err(refusal),
            },
        };
        totals.parts.push(part);
    }
    if request.atomic && !totals.parts.iter().all(|part| matches!(part, BatchOutcome::Taken(_))) {
        return Err(short(account, request, attempt));
    }
    Ok(totals.posting(account, attempt))
}

/// The attempts to charge one item after another, as separate debits: each has an id of its own.
fn lines(attempt: &Attempt) -> impl Iterator<Item = Attempt> + '_ {
    (0..).map(|place| Attempt { id: attempt.id.after(place), ..attempt.clone() })
}

/// The refusal of an atomic batch: the credits it needs, and the credits its items could have used, in order.
fn short(account: &Account, request: &Batch, attempt: &Attempt) -> Refusal {
    let plus = |sum: Credits, more| sum.plus(more).unwrap_or(Credits::MAX);
    let (mut required, mut available) = (Credits::ZERO, Credits::ZERO);
    let mut after = account.clone();
    for (item, line) in request.items.iter().flatten().zip(lines(attempt)) {
        required = plus(required, item.amount);
        let found = match consume(&after, item, &line) {
            Err(Refusal::InsufficientCredits { available, .. }) => available,
            Ok(_) | Err(_) => item.amount,
        };
        available = plus(available, found);
        let taken = consume(&after, &Consume { amount: found, ..item.clone() }, &line);
        if let Some(next) = taken.ok().and_then(|posting| after.clone().apply(&posting)) {
            after = next;
        }
    }
    let services: Vec<_> = request.items.iter().flatten().map(|item| item.service).collect();
    let passed_over = account.passed_over(&services, attempt.now);
    Refusal::InsufficientCredits { required, available, passed_over }
}

/// The totals of a batch's items.
#[derive(Default)]
struct BatchTotals {
    parts: Vec<BatchOutcome>,
    moves: Vec<Move>,
    taken: BTreeMap<LotId, Credits>,
    owed: Credits,
    spent: Credits,
    used: Credits,
}

impl BatchTotals {
    fn add(&mut self, posting: &Posting) {
        let more = |sum: &mut Credits, amount| *sum = sum.plus(amount).unwrap_or(Credits::MAX);
        for part in &posting.entry.moves {
            match self.moves.last_mut().filter(|last| last.lot == part.lot) {
                Some(last) => more(&mut last.amount, part.amount),
                None => self.moves.push(*part),
            }
        }
        for effect in &posting.effects {
            // Debits of lots are summed from the moves.
            if let Effect::Owe(amount) = effect {
                more(&mut self.owed, *amount);
            } else if let Effect::Spend(amount) = effect {
                more(&mut self.spent, *amount);
            } else if let Effect::Use(amount) = effect {
                more(&mut self.used, *amount);
            }
        }
        for part in &posting.entry.moves {
            if let LotId::Subscription(_) | LotId::Granted(_) = part.lot {
                more(self.taken.entry(part.lot).or_default(), part.amount);
            }
        }
    }

    fn posting(self, account: &Account, attempt: &Attempt) -> Posting {
        let mut guards = vec![Guard::Revision(account.revision), Guard::FenceBelow(attempt.id)];
        // A lot that is emptied here is kept, so that the batch's lines can be derived from the account.
        let mut effects: Vec<_> = account.empty_lots().map(Effect::Drop).collect();
        for (lot, amount) in self.taken {
            let seen = match lot {
                LotId::Subscription(_) => account.subscription.left,
                LotId::Granted(id) => account.lots.get(&id).map_or(Credits::ZERO, |lot| lot.left),
                LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => continue,
            };
            guards.push(if amount == seen {
                Guard::Exactly(lot, amount)
            } else {
                Guard::AtLeast(lot, amount)
            });
            effects.push(Effect::Take(lot, amount));
        }
        if let Some(most) = account.post_paid.limit.less(self.owed).filter(|_| !self.owed.is_zero()) {
            guards.push(Guard::OwingAtMost(most));
            effects.push(Effect::Owe(self.owed));
        }
        if !self.spent.is_zero() {
            let most = account.monthly_cap().less(self.spent).unwrap_or_default();
            guards.push(Guard::GrantedAtMost(most));
            effects.push(Effect::Spend(self.spent));
        }
        if !self.used.is_zero() {
            effects.push(Effect::Use(self.used));
        }
        let new = NewEntry {
            operation: Operation::own(crate::ledger::BATCH),
            direction: Direction::Debit,
            amount: self.used,
            moves: self.moves,
        };
        let entry = Entry { parts: self.parts, ..attempt.entry(account, new) };
        Posting { entry, guards, effects }
    }
}

impl Account {
    /// The ledger lines of the account's last entry, in order: one line, or one for each charged item of a
    /// batch. A batch without a charged item is one line of 0 credits. Empty for a new account.
    #[must_use]
    pub fn receipts(&self, details: Details) -> Vec<Receipt> {
        let Some(last) = self.last.clone() else { return vec![] };
        if last.parts.is_empty() {
            let balance = self.balance(last.at);
            return vec![Receipt { entry: last, sequence: self.sequence, details, balance }];
        }
        self.lines(&last, details)
    }

    fn lines(&self, last: &Entry, mut details: Details) -> Vec<Receipt> {
        let items = std::mem::take(&mut details.items);
        let rows = u32::try_from(last.rows()).unwrap_or(u32::MAX);
        let mut before = self.clone();
        let mut moves = last.moves.clone();
        let mut receipts = Vec::new();
        // Start at the last line: undoing a line's debit gives the balance after the line before it.
        for (item, part) in (0u32..).zip(&last.parts).collect::<Vec<_>>().into_iter().rev() {
            let BatchOutcome::Taken(amount) = *part else { continue };
            let requested = usize::try_from(item).ok().and_then(|item| items.get(item));
            let entry = Entry {
                operation: requested.and_then(BatchItem::operation).unwrap_or_else(|| last.operation.clone()),
                amount,
                moves: split_off(&mut moves, amount),
                parts: vec![],
                ..last.clone()
            };
            let balance = before.balance(last.at);
            before = before.undo(&entry);
            let place = BatchPosition { batch: last.id, item, rows };
            let own = requested.map_or_else(Details::default, |requested| requested.details.clone());
            let details = own.of_batch(&details, place);
            receipts.push(Receipt { entry, sequence: 0, details, balance });
        }
        receipts.reverse();
        if receipts.is_empty() {
            let details = Details { batch: Some(BatchPosition { batch: last.id, item: 0, rows }), ..details };
            let balance = self.balance(last.at);
            receipts.push(Receipt { entry: last.clone(), sequence: 0, details, balance });
        }
        let first = self.sequence.saturating_sub(last.rows()).saturating_add(1);
        for (place, receipt) in (0u64..).zip(&mut receipts) {
            receipt.sequence = first.saturating_add(place);
            receipt.entry.id = last.id.after(place);
        }
        if let Some(first) = receipts.first_mut() {
            first.entry.parts.clone_from(&last.parts);
        }
        receipts
    }

    /// The account before a debit.
    fn undo(mut self, entry: &Entry) -> Self {
        let plus = |sum: &mut Credits, amount| *sum = sum.plus(amount).unwrap_or(Credits::MAX);
        for part in &entry.moves {
            match part.lot {
                LotId::Unlimited(_) | LotId::Disputed(_) => (),
                LotId::Subscription(_) => plus(&mut self.subscription.left, part.amount),
                LotId::Granted(id) => {
                    if let Some(lot) = self.lots.get_mut(&id) {
                        plus(&mut lot.left, part.amount);
                    }
                }
                LotId::PostPaid => {
                    let owed = &mut self.post_paid.outstanding;
                    *owed = owed.less(part.amount).unwrap_or_default();
                }
            }
        }
        self.used = self.used.less(entry.amount).unwrap_or_default();
        self
    }
}

/// Removes the last `amount` credits from the moves and returns them.
fn split_off(moves: &mut Vec<Move>, amount: Credits) -> Vec<Move> {
    let mut wanted = amount;
    let mut split = Vec::new();
    while let Some(last) = moves.last_mut().filter(|_| !wanted.is_zero()) {
        let part = last.amount.min(wanted);
        split.push(Move { amount: part, ..*last });
        wanted = wanted.less(part).unwrap_or_default();
        last.amount = last.amount.less(part).unwrap_or_default();
        if last.amount.is_zero() {
            moves.pop();
        }
    }
    split.reverse();
    split
}
