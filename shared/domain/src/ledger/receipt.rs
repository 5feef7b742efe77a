use crate::{Balance, Credits, Details, Direction, Entry, LotId, Move};

/// A transaction, whole: the entry, its place in the ledger, what was asked, and the balance that
/// it left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The entry.
    pub entry: Entry,
    /// Its number: 1, 2, 3, … without a gap per account.
    pub sequence: u64,
    /// What was asked.
    pub details: Details,
    /// What the account held right after it.
    pub balance: Balance,
}

impl Receipt {
    /// How many credits had ended when it was booked: what was left of the month before, in a renewal, and what
    /// came back to a month or a lot that is over. `None` where none had.
    #[must_use]
    pub fn ended(&self) -> Option<Credits> {
        let ended = self.leaving().filter(|part| self.has_ended(part)).map(|part| part.amount);
        ended.reduce(|sum, part| sum.plus(part).unwrap_or(Credits::MAX))
    }

    /// What each lot gave, for a debit, or received, for a credit. Where a lot made room for a credit, it moved into
    /// another lot of its kind: that amount is left out.
    #[must_use]
    pub fn sources(&self) -> Vec<Move> {
        let with = |part: &&Move| part.direction == self.entry.direction;
        let mut sources: Vec<Move> = self.entry.moves.iter().filter(with).copied().collect();
        let is_merged = |part: &&Move| matches!(part.lot, LotId::Granted(_)) && !self.has_ended(part);
        for merged in self.leaving().filter(is_merged) {
            let mut rest = merged.amount;
            let kind =
                |part: &&mut Move| part.source == merged.source && part.terms.service == merged.terms.service;
            for part in sources.iter_mut().filter(kind) {
                let moved = part.amount.min(rest);
                part.amount = part.amount.less(moved).unwrap_or_default();
                rest = rest.less(moved).unwrap_or_default();
            }
        }
        sources.retain(|part| !part.amount.is_zero());
        sources
    }

    /// What leaves a lot in a credit.
    fn leaving(&self) -> impl Iterator<Item = &Move> {
        let is_credit = self.entry.direction == Direction::Credit;
        self.entry.moves.iter().filter(move |part| is_credit && part.direction == Direction::Debit)
    }

    fn has_ended(&self, part: &Move) -> bool {
        match part.lot {
            // A renewal ends them, and so does a refund of what was spent beyond a smaller plan.
            LotId::Subscription(_) => true,
            // Without an end of its own, or before it, a lot gave its credits to another that it was merged with.
            LotId::Granted(_) => part.terms.expires_at.is_some_and(|end| end <= self.entry.at),
            LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => false,
        }
    }

    /// By how many credits it changed what the balance counts: above zero for more, below it for less. What is owed,
    /// in dispute, or paid by an unlimited plan is no part of a balance.
    #[must_use]
    pub fn net(&self) -> i64 {
        let counts = |part: &&Move| part.lot.is_counted();
        let signed = |part: &Move| part.direction.signed(part.amount);
        self.entry.moves.iter().filter(counts).map(signed).fold(0, i64::saturating_add)
    }
}

/// The operations of entries that set credits aside, spend them, and give them back.
pub(crate) const HOLD: &str = "credit.hold";

impl Receipt {
    /// Whether it has set credits aside.
    #[must_use]
    pub fn is_hold(&self) -> bool {
        self.entry.operation.as_str() == HOLD
    }
}

pub(crate) const CAPTURE: &str = "credit.capture";

pub(crate) const RELEASE: &str = "credit.release";
