//! A transaction as recorded in the ledger.

use crate::{
    Balance, Credits, Details, Direction, Drawn, Entry, EntryId, HoldId, LotId, Move, Share, Source,
};

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
        self.sum(|_| true)
    }

    /// The part of [`Receipt::net`] that credits of one source make up. The parts of all sources add up to it.
    #[must_use]
    pub fn net_of(&self, source: Source) -> i64 {
        self.sum(|part| part.source == source)
    }

    fn sum(&self, is_part: impl Fn(&Move) -> bool) -> i64 {
        let counts = |part: &&Move| part.lot.is_counted() && is_part(part);
        let signed = |part: &Move| part.direction.signed(part.amount);
        self.entry.moves.iter().filter(counts).map(signed).fold(0, i64::saturating_add)
    }
}

impl Receipt {
    /// The transaction id that callers know: a purchase has it before its entry is written.
    #[must_use]
    pub fn transaction_id(&self) -> EntryId {
        self.details.paid.as_ref().map_or(self.entry.id, |paid| paid.transaction)
    }

    /// Its status (seed: `status`): `postPaid` when a part of it is spent on account, `approved` otherwise.
    #[must_use]
    pub fn status(&self) -> &'static str {
        if self.is_on_account() { "postPaid" } else { "approved" }
    }

    /// The credits of each lot that gave or received some, in the order of consumption; for a capture, the credits
    /// of its hold.
    #[must_use]
    pub fn shares(&self) -> Vec<Share> {
        match self.details.drawn.as_ref().filter(|drawn| drawn.is_capture()) {
            Some(captured) => captured.shares.clone(),
            None => self.sources().iter().map(Share::from).collect(),
        }
    }

    /// Available credits right after it, as the lines of the ledger add up.
    #[must_use]
    pub fn balance_after(&self) -> Credits {
        self.balance.booked().unwrap_or(Credits::MAX)
    }

    /// The hold that it made, captured or released.
    #[must_use]
    pub fn hold(&self) -> Option<HoldId> {
        let drawn = self.details.drawn.as_ref().filter(|drawn| drawn.refund().is_none());
        drawn.map(|drawn| drawn.of).or(self.is_hold().then_some(self.entry.id)).map(HoldId::from)
    }

    /// Held credits that it spends, for a capture. They are usage although its amount is 0.
    #[must_use]
    pub fn captured(&self) -> Option<Credits> {
        self.details.drawn.as_ref().filter(|drawn| drawn.is_capture()).map(Drawn::amount)
    }
}

/// The operation of an entry that holds credits.
pub(crate) const HOLD: &str = "credit.hold";

/// The operation of the entry of a batch.
pub(crate) const BATCH: &str = "credit.batch";

impl Receipt {
    /// Whether it is a hold.
    #[must_use]
    pub fn is_hold(&self) -> bool {
        self.entry.operation.as_str() == HOLD
    }
}

pub(crate) const CAPTURE: &str = "credit.capture";

pub(crate) const RELEASE: &str = "credit.release";
