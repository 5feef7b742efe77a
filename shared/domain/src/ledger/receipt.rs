//! A transaction as recorded in the ledger.

use crate::{Balance, Credits, Details, Direction, Entry, LotId, Move, Source};

/// A transaction as recorded: the entry, its number in the ledger, the request's details, and the balance after
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The entry.
    pub entry: Entry,
    /// Its number: 1, 2, 3, … without gaps per account.
    pub sequence: u64,
    /// The details of the request.
    pub details: Details,
    /// The balance right after it.
    pub balance: Balance,
}

impl Receipt {
    /// The credits that had expired when it was booked: the rest of the previous month in a renewal, and
    /// credits returned to a month or a lot that has ended. `None` when there were none.
    #[must_use]
    pub fn ended(&self) -> Option<Credits> {
        let ended = self.leaving().filter(|part| self.has_ended(part)).map(|part| part.amount);
        ended.reduce(|sum, part| sum.plus(part).unwrap_or(Credits::MAX))
    }

    /// The credits that each lot gave (debit) or received (credit). Where a lot made room for a credit, its
    /// credits moved to another lot of its kind: that amount is left out.
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

    /// The moves out of lots in a credit.
    fn leaving(&self) -> impl Iterator<Item = &Move> {
        let is_credit = self.entry.direction == Direction::Credit;
        self.entry.moves.iter().filter(move |part| is_credit && part.direction == Direction::Debit)
    }

    pub(crate) fn has_ended(&self, part: &Move) -> bool {
        match part.lot {
            // They expire by a renewal, or by a refund of credits spent beyond a downgraded plan.
            LotId::Subscription(_) => true,
            // A lot that had not expired gave its credits to another lot that it was merged with.
            LotId::Granted(_) => part.terms.expires_at.is_some_and(|end| end <= self.entry.at),
            LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => false,
        }
    }

    /// Whether it is a debit that is partly owed: post-paid credits pay for it.
    #[must_use]
    pub fn is_on_account(&self) -> bool {
        let is_owed = |part: &Move| part.source == Source::PostPaid;
        self.entry.direction == Direction::Debit && self.entry.moves.iter().any(is_owed)
    }

    /// The change of the balance in credits: positive for an increase. Outstanding credits, disputed credits
    /// and those of an unlimited plan are not part of the balance.
    #[must_use]
    pub fn net(&self) -> i64 {
        let counts = |part: &&Move| part.lot.is_counted();
        let signed = |part: &Move| part.direction.signed(part.amount);
        self.entry.moves.iter().filter(counts).map(signed).fold(0, i64::saturating_add)
    }
}

/// The operation of an entry that holds credits.
pub(crate) const HOLD: &str = "credit.hold";

impl Receipt {
    /// Whether it is a hold.
    #[must_use]
    pub fn is_hold(&self) -> bool {
        self.entry.operation.as_str() == HOLD
    }
}

pub(crate) const CAPTURE: &str = "credit.capture";

pub(crate) const RELEASE: &str = "credit.release";
