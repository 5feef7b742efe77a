//! What a transaction changes of lots besides usage: credits that arrive, expire, are withdrawn, or move to other lots.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use crate::{Credits, Direction, EntryId, LotId, Money, Move, Receipt, Source, Terms};

/// One change of a lot by a transaction. Debits, holds, captures, and refunds and releases to the same lot are usage: they
/// are no changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LotChange {
    /// The number of the transaction.
    pub sequence: u64,
    /// When it took effect.
    pub at: DateTime<Utc>,
    /// The transaction; for a purchase the purchase.
    pub transaction: EntryId,
    /// The lot: subscription credits of a month, or granted credits.
    pub lot: LotId,
    /// Its source.
    pub source: Source,
    /// Its terms.
    pub terms: Terms,
    /// The number of credits.
    pub amount: Credits,
    /// What happened to them.
    pub kind: LotChangeKind,
}

/// What happened to credits of a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LotChangeKind {
    /// They were granted or bought, or came from another lot.
    Arrived(Arrival),
    /// Credits that were withdrawn came back: a dispute was won, or a refund of money failed.
    Returned,
    /// They expired.
    Expired,
    /// They were taken back: by an operator, a smaller plan, a dispute, or a refund of money.
    Withdrawn,
    /// They went to another lot.
    Moved,
}

/// Where credits that arrived in a lot came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// They were granted.
    Granted,
    /// They are some of the credits of a purchase.
    Bought {
        /// What the purchase cost.
        price: Money,
        /// How many credits it had.
        credits: Credits,
    },
    /// They came from this lot.
    FromLot(LotId),
}

/// The own operations whose credits were withdrawn before.
const RETURNS: [&str; 3] = ["credit.dispute_won", "credit.dispute_lost", "credit.refund_failed"];

/// The own operations that are usage. `credit.batch` is the sum of its items.
const USAGE: [&str; 3] =
    [crate::ledger::receipt::HOLD, crate::ledger::receipt::CAPTURE, crate::ledger::BATCH];

impl LotChange {
    /// The changes by a transaction.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Vec<Self> {
        let entry = &receipt.entry;
        if !entry.operation.is_own() || USAGE.contains(&entry.operation.as_str()) {
            return vec![];
        }
        match &receipt.details.drawn {
            Some(drawn) => {
                Drawback::new(receipt, drawn.shares.iter().map(|share| (share.lot, share.amount))).changes()
            }
            None => counted(receipt).map(|part| Self::by(receipt, part, kind(receipt, part))).collect(),
        }
    }

    /// The lot that its credits came from; `None` where they came from none.
    #[must_use]
    pub fn origin(&self) -> Option<LotId> {
        match self.kind {
            LotChangeKind::Arrived(Arrival::FromLot(lot)) => Some(lot),
            LotChangeKind::Arrived(Arrival::Granted | Arrival::Bought { .. })
            | LotChangeKind::Returned
            | LotChangeKind::Expired
            | LotChangeKind::Withdrawn
            | LotChangeKind::Moved => None,
        }
    }

    fn by(receipt: &Receipt, part: &Move, kind: LotChangeKind) -> Self {
        let bought = receipt.details.paid.as_ref().map(|paid| paid.transaction);
        Self {
            sequence: receipt.sequence,
            at: receipt.entry.at,
            transaction: bought.unwrap_or(receipt.entry.id),
            lot: part.lot,
            source: part.source,
            terms: part.terms,
            amount: part.amount,
            kind,
        }
    }
}

/// The moves of lots that are part of the balance.
fn counted(receipt: &Receipt) -> impl Iterator<Item = &Move> {
    receipt.entry.moves.iter().filter(|part| part.lot.is_counted())
}

/// What a move of a transaction other than a refund or a release is.
fn kind(receipt: &Receipt, part: &Move) -> LotChangeKind {
    let operation = receipt.entry.operation.as_str();
    match (part.direction, receipt.entry.direction) {
        (Direction::Debit, _) if operation == "credit.expiry" => LotChangeKind::Expired,
        (Direction::Debit, Direction::Debit) => LotChangeKind::Withdrawn,
        (Direction::Debit, Direction::Credit) if receipt.has_ended(part) => LotChangeKind::Expired,
        (Direction::Debit, Direction::Credit) => LotChangeKind::Moved,
        (Direction::Credit, _) if RETURNS.contains(&operation) => LotChangeKind::Returned,
        (Direction::Credit, _) => LotChangeKind::Arrived(arrival(receipt)),
    }
}

fn arrival(receipt: &Receipt) -> Arrival {
    let merged = counted(receipt)
        .find(|part| part.direction == Direction::Debit && !receipt.has_ended(part))
        .map(|part| part.lot);
    match (&receipt.details.paid, merged) {
        (Some(paid), _) => Arrival::Bought { price: paid.price, credits: receipt.entry.amount },
        (None, Some(lot)) => Arrival::FromLot(lot),
        (None, None) => Arrival::Granted,
    }
}

/// The lots that credits have left for other lots, in the order in which they were drawn.
#[derive(Default)]
struct Origins(VecDeque<(LotId, Credits)>);

impl Origins {
    fn add(&mut self, lot: LotId, amount: Credits) {
        self.0.push_back((lot, amount));
    }

    /// Takes credits that arrive in a lot, with where they came from.
    fn take(&mut self, amount: Credits) -> Vec<(Arrival, Credits)> {
        // A lot that is merged into another one arrives there whole.
        if let Some(place) = self.0.iter().position(|(_, there)| *there == amount)
            && let Some((lot, _)) = self.0.remove(place)
        {
            return vec![(Arrival::FromLot(lot), amount)];
        }
        let (mut taken, mut left) = (vec![], amount);
        while !left.is_zero() {
            let Some((lot, there)) = self.0.front_mut() else { break };
            let part = (*there).min(left);
            taken.push((Arrival::FromLot(*lot), part));
            left = left.less(part).unwrap_or_default();
            *there = there.less(part).unwrap_or_default();
            if there.is_zero() {
                self.0.pop_front();
            }
        }
        if !left.is_zero() {
            taken.push((Arrival::Granted, left));
        }
        taken
    }
}

/// A refund or a release: what was drawn from lots, and what came back to them.
struct Drawback<'a> {
    receipt: &'a Receipt,
    /// The credits that were drawn from each lot.
    drawn: Vec<(LotId, Credits)>,
}

impl<'a> Drawback<'a> {
    fn new(receipt: &'a Receipt, shares: impl Iterator<Item = (LotId, Credits)>) -> Self {
        let mut drawn: Vec<(LotId, Credits)> = vec![];
        for (lot, amount) in shares.filter(|(lot, _)| lot.is_counted()) {
            match drawn.iter_mut().find(|(known, _)| *known == lot) {
                Some((_, sum)) => *sum = sum.plus(amount).unwrap_or(Credits::MAX),
                None => drawn.push((lot, amount)),
            }
        }
        Self { receipt, drawn }
    }

    /// The credits that came back to another lot than theirs: the ones leave, the others arrive. Those that an open dispute
    /// set aside are withdrawn.
    fn changes(&self) -> Vec<LotChange> {
        let mut changes = vec![];
        let mut from = Origins::default();
        let mut aside = self.aside();
        for (lot, amount) in &self.drawn {
            let Some(gone) = amount.less(self.returned(*lot)).filter(|gone| !gone.is_zero()) else {
                continue;
            };
            let withdrawn = gone.min(aside);
            aside = aside.less(withdrawn).unwrap_or_default();
            let moved = gone.less(withdrawn).unwrap_or_default();
            for (kind, amount) in [(LotChangeKind::Withdrawn, withdrawn), (LotChangeKind::Moved, moved)] {
                changes.extend(self.leaving(*lot, amount, kind));
            }
            from.add(*lot, moved);
        }
        for part in counted(self.receipt) {
            match part.direction {
                Direction::Debit if self.receipt.has_ended(part) => {
                    changes.push(LotChange::by(self.receipt, part, LotChangeKind::Expired));
                }
                Direction::Debit => {
                    changes.push(LotChange::by(self.receipt, part, LotChangeKind::Moved));
                    from.add(part.lot, part.amount);
                }
                Direction::Credit => (),
            }
        }
        for part in counted(self.receipt).filter(|part| part.direction == Direction::Credit) {
            let own = self.drawn_from(part.lot).min(part.amount);
            for (arrival, amount) in from.take(part.amount.less(own).unwrap_or_default()) {
                let kind = LotChangeKind::Arrived(arrival);
                changes.push(LotChange { amount, ..LotChange::by(self.receipt, part, kind) });
            }
        }
        changes.retain(|change| !change.amount.is_zero());
        changes
    }

    fn leaving(&self, lot: LotId, amount: Credits, kind: LotChangeKind) -> Option<LotChange> {
        let drawn = self.receipt.details.drawn.as_ref()?;
        let share = drawn.shares.iter().find(|share| share.lot == lot)?;
        let part = Move { amount, ..Move::out(lot, share.source, amount).on(share.terms) };
        (!amount.is_zero()).then(|| LotChange::by(self.receipt, &part, kind))
    }

    /// The credits that open disputes set aside.
    fn aside(&self) -> Credits {
        let aside = self.receipt.entry.moves.iter().filter(|part| matches!(part.lot, LotId::Disputed(_)));
        aside.fold(Credits::ZERO, |sum, part| sum.plus(part.amount).unwrap_or(Credits::MAX))
    }

    /// The credits that came back to the lot that they were drawn from.
    fn returned(&self, lot: LotId) -> Credits {
        let back =
            counted(self.receipt).filter(|part| part.lot == lot && part.direction == Direction::Credit);
        let back = back.fold(Credits::ZERO, |sum, part| sum.plus(part.amount).unwrap_or(Credits::MAX));
        back.min(self.drawn_from(lot))
    }

    fn drawn_from(&self, lot: LotId) -> Credits {
        self.drawn.iter().find(|(known, _)| *known == lot).map_or(Credits::ZERO, |(_, amount)| *amount)
    }
}
