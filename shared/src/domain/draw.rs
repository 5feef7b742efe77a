use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ClaimKey, Credits, Details, EntryId, Fingerprint, LotId, Move, Reason, Receipt, Reference, Refusal,
    Source, Terms,
};

/// How often credits are drawn from one transaction at most: a hold captured in as many parts, a debit
/// refunded in as many. It keeps what is remembered of it a small item.
pub const DRAWS_MAX: usize = 100;

/// Credits of one lot that a transaction moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which lot.
    pub lot: LotId,
    /// Its bucket.
    #[serde(rename = "src")]
    pub source: Source,
    /// How many.
    #[serde(rename = "n")]
    pub amount: Credits,
    /// On which terms the lot is spent.
    #[serde(flatten)]
    pub terms: Terms,
}

/// Why credits are drawn from a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// They are given back.
    Refund {
        /// For which of the seed's reasons.
        reason: Reason,
        /// In words; always there where an operator has overridden a refusal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Reference>,
        /// The earlier debit for the same, where that is the reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        twin: Option<EntryId>,
    },
    /// What was set aside is spent.
    Capture,
    /// What was set aside is given back before its time.
    Release,
    /// What was set aside is given back because its time has come.
    Expiry,
}

/// What is drawn from a pot, as the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    /// Which credits.
    pub shares: Vec<Share>,
    /// Whether nothing more is drawn after it.
    pub closes: bool,
}

/// What one transaction drew from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// From which.
    pub of: EntryId,
    /// Why.
    pub why: Why,
    /// Which credits, in the order in which they were taken.
    pub shares: Vec<Share>,
}

/// What was drawn from a transaction, and what is left to draw: from a debit by refunds, from a hold by
/// captures and its release. Whoever draws takes their part here first, so that all parts together never
/// exceed it; the account follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pot {
    /// The transaction.
    pub of: EntryId,
    /// What is left to draw of each of its moves, in their order.
    pub rest: Vec<Share>,
    /// Until when it is open; a debit's is for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<DateTime<Utc>>,
    /// What was drawn, the earliest first.
    #[serde(default)]
    pub draws: Vec<Draw>,
    /// Grows with every change.
    #[serde(default)]
    pub revision: u64,
}

/// One part that was drawn from a pot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// The claim under which the account follows.
    pub key: ClaimKey,
    /// What was asked under it.
    pub asked: Fingerprint,
    /// What its transaction will say: [`Details::drawn`] has the part itself.
    pub details: Details,
    /// Whether nothing more is drawn after it.
    pub closes: bool,
    /// The transaction that it was made; none while the account has not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<EntryId>,
}

/// Which end of a pot is drawn from first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// What was taken first: captures spend in the order of consumption.
    First,
    /// What was taken last: refunds undo it.
    Last,
}

impl From<&Move> for Share {
    fn from(part: &Move) -> Self {
        Self { lot: part.lot, source: part.source, amount: part.amount, terms: part.terms }
    }
}

impl Drawn {
    /// How many credits.
    #[must_use]
    pub fn amount(&self) -> Credits {
        sum(&self.shares)
    }
}

impl Draw {
    /// What was drawn.
    #[must_use]
    pub fn amount(&self) -> Credits {
        self.details.drawn.as_ref().map_or(Credits::ZERO, Drawn::amount)
    }
}

impl Pot {
    /// The pot of a transaction from which nothing was drawn: the credits that it moved, or captured.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Self {
        let rest = match &receipt.details.drawn {
            Some(drawn) if drawn.why == Why::Capture => drawn.shares.clone(),
            Some(_) | None => receipt.entry.moves.iter().map(Share::from).collect(),
        };
        let ends = receipt.details.expires_at.filter(|_| receipt.is_hold());
        Self { of: receipt.entry.id, rest, ends, draws: vec![], revision: 0 }
    }

    /// How many credits are left to draw.
    #[must_use]
    pub fn left(&self) -> Credits {
        sum(&self.rest)
    }

    /// Whether something was drawn under a key.
    #[must_use]
    pub fn has(&self, key: &ClaimKey) -> bool {
        self.draws.iter().any(|draw| draw.key == *key)
    }

    /// Whether nothing more can be drawn, whatever the time.
    #[must_use]
    pub fn closed_by(&self) -> Option<&Draw> {
        self.draws.last().filter(|last| last.closes)
    }

    /// The next `amount` credits from one end, share by share in the order in which they were taken; `None`
    /// when there are not as many.
    #[must_use]
    pub fn next(&self, amount: Credits, order: Order) -> Option<Vec<Share>> {
        let mut wanted = amount;
        let mut shares = Vec::new();
        let mut take = |share: &Share| {
            let part = share.amount.min(wanted);
            wanted = wanted.less(part).unwrap_or_default();
            if !part.is_zero() {
                shares.push(Share { amount: part, ..*share });
            }
        };
        match order {
            Order::First => self.rest.iter().for_each(&mut take),
            Order::Last => self.rest.iter().rev().for_each(&mut take),
        }
        if order == Order::Last {
            shares.reverse();
        }
        wanted.is_zero().then_some(shares)
    }

    /// The pot with a draw more.
    ///
    /// # Errors
    /// [`Refusal::TooManyDraws`].
    pub fn with(mut self, draw: Draw) -> Result<Self, Refusal> {
        // A place is kept for what ends it.
        let most = if draw.closes { DRAWS_MAX } else { DRAWS_MAX.saturating_sub(1) };
        if self.draws.len() >= most {
            return Err(Refusal::TooManyDraws);
        }
        let drawn = draw.details.drawn.iter().flat_map(|drawn| &drawn.shares);
        self.shift(drawn.copied().collect(), |left, part| left.less(part));
        self.draws.push(draw);
        Ok(self)
    }

    /// The pot without a draw that came to nothing.
    #[must_use]
    pub fn without(mut self, key: &ClaimKey) -> Self {
        let place = self.draws.iter().position(|draw| draw.key == *key && draw.made.is_none());
        if let Some(draw) = place.map(|place| self.draws.remove(place)) {
            let shares = draw.details.drawn.map(|drawn| drawn.shares).unwrap_or_default();
            self.shift(shares, |left, part| left.plus(part));
        }
        self
    }

    fn shift(&mut self, shares: Vec<Share>, change: impl Fn(Credits, Credits) -> Option<Credits>) {
        for share in shares {
            if let Some(rest) = self.rest.iter_mut().find(|rest| rest.lot == share.lot) {
                rest.amount = change(rest.amount, share.amount).unwrap_or(rest.amount);
            }
        }
    }
}

/// How many credits some shares are.
pub(super) fn sum(shares: &[Share]) -> Credits {
    shares.iter().fold(Credits::ZERO, |sum, share| sum.plus(share.amount).unwrap_or(Credits::MAX))
}
