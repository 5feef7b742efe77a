use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ledger::share::{is_same_lot, sum};
use crate::{
    ClaimKey, Credits, DRAWS_MAX, Details, DrawdownCause, Drawn, EntryId, Fingerprint, Receipt, Refusal,
    Share, Why,
};

/// What is drawn from a pot, as the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    /// Which credits.
    pub shares: Vec<Share>,
    /// Whether nothing more is drawn after it.
    pub closes: bool,
}

/// The remainder of a transaction: what was drawn from it, and what is left to draw. Refunds draw from a debit;
/// captures and a release draw from a hold. A request takes its part here first, by one conditional write, so
/// that all parts together never exceed the transaction; then the account follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pot {
    /// The transaction.
    pub of: EntryId,
    /// What is left to draw of each of its moves, in their order.
    pub rest: Vec<Share>,
    /// Until when it is open; a debit's has no end.
    pub ends: Option<DateTime<Utc>>,
    /// The parts that the account has followed, the earliest first.
    pub made: Vec<Drawdown>,
    /// How many of `made` are stored in items of their own; the store's business.
    pub paged: usize,
    /// The part that was taken last, while it is not known that the account has followed. The next part is only
    /// taken when there is none.
    pub open: Option<Draw>,
    /// Whether nothing more is drawn after the last part.
    pub closed: bool,
    /// Grows with every change.
    pub revision: u64,
}

/// A part that was drawn, and that the account has followed: all that is remembered of it. The rest is in the
/// row of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawdown {
    /// The part's transaction.
    pub id: EntryId,
    /// How many credits.
    pub amount: Credits,
    /// Why.
    pub cause: DrawdownCause,
}

/// One part that is taken from a remainder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// The claim under which the account follows.
    pub key: ClaimKey,
    /// What was asked under it.
    pub asked: Fingerprint,
    /// What its transaction will say: [`Details::drawn`] has the part itself. What it says of a hold is not
    /// repeated here.
    pub details: Details,
    /// Whether nothing more is drawn after it.
    pub closes: bool,
}

/// A part and its remainder contradict each other: the part has more credits of a lot than the remainder has left,
/// or its transaction never had them. No request can bring this about; it is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a part of {of} does not fit what is left of it")]
pub struct Misfit {
    /// The transaction.
    pub of: EntryId,
}

/// Why a part was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// By the rules.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It does not fit the remainder.
    #[error(transparent)]
    Misfit(#[from] Misfit),
}

/// A remainder with a part that had been put back and was carried out all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// The remainder, with the part.
    pub pot: Pot,
    /// How many of the part's credits other requests had drawn meanwhile: they were moved twice.
    pub overdrawn: Credits,
}

/// Which end of a pot is drawn from first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// What was taken first: captures spend in the order of consumption.
    First,
    /// What was taken last: refunds undo it.
    Last,
}

impl Draw {
    /// How many credits were drawn.
    #[must_use]
    pub fn amount(&self) -> Credits {
        self.details.drawn.as_ref().map_or(Credits::ZERO, Drawn::amount)
    }

    /// Why they were drawn.
    #[must_use]
    pub fn cause(&self) -> Option<DrawdownCause> {
        self.details.drawn.as_ref().map(|drawn| DrawdownCause::from(&drawn.why))
    }

    fn shares(&self) -> &[Share] {
        self.details.drawn.as_ref().map_or(&[], |drawn| &drawn.shares)
    }

    /// The same, once its transaction is known.
    fn made(&self, id: EntryId) -> Option<Drawdown> {
        Some(Drawdown { id, amount: self.amount(), cause: self.cause()? })
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
        let of = receipt.entry.id;
        Self { of, rest, ends, made: vec![], paged: 0, open: None, closed: false, revision: 0 }
    }

    /// How many credits are left to draw.
    #[must_use]
    pub fn left(&self) -> Credits {
        sum(&self.rest)
    }

    /// How many parts were drawn.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.made.len().saturating_add(usize::from(self.open.is_some()))
    }

    /// How many credits were drawn.
    #[must_use]
    pub fn drawn(&self) -> Credits {
        let made = self.made.iter().map(|made| made.amount);
        let amounts = made.chain(self.open.iter().map(Draw::amount));
        amounts.fold(Credits::ZERO, |sum, amount| sum.plus(amount).unwrap_or(Credits::MAX))
    }

    /// The open part, if it was taken under `key`.
    #[must_use]
    pub fn open_under(&self, key: &ClaimKey) -> Option<&Draw> {
        self.open.as_ref().filter(|open| open.key == *key)
    }

    /// Whether the account is known to have followed the part that became this transaction.
    #[must_use]
    pub fn has_made(&self, id: EntryId) -> bool {
        self.made.iter().any(|made| made.id == id)
    }

    /// Why the part was drawn after which nothing more can be drawn, whatever the time.
    #[must_use]
    pub fn closed_by(&self) -> Option<DrawdownCause> {
        let last = self.made.last().map(|made| made.cause);
        self.open.as_ref().and_then(Draw::cause).or(last).filter(|_| self.closed)
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

    /// The remainder once a part is taken.
    ///
    /// # Errors
    /// [`Refusal::TooManyDraws`]; [`Misfit`].
    pub fn with(mut self, draw: Draw) -> Result<Self, NotTaken> {
        // The last place is for the part that takes all that is left.
        let most = if draw.closes { DRAWS_MAX } else { DRAWS_MAX.saturating_sub(1) };
        if self.parts() >= most {
            return Err(Refusal::TooManyDraws.into());
        }
        let misfit = Misfit { of: self.of };
        if self.open.is_some() {
            return Err(misfit.into());
        }
        for share in draw.shares() {
            self.take(share).filter(|lacking| lacking.is_zero()).ok_or(misfit)?;
        }
        self.closed = draw.closes;
        self.open = Some(draw);
        Ok(self)
    }

    /// The remainder once the account has followed its open part.
    ///
    /// # Errors
    /// [`Misfit`] when no part is open.
    pub fn followed(mut self, made: EntryId) -> Result<Self, Misfit> {
        let part = self.open.take().and_then(|open| open.made(made));
        self.made.push(part.ok_or(Misfit { of: self.of })?);
        Ok(self)
    }

    /// The remainder once its open part is put back: the account will not follow.
    ///
    /// # Errors
    /// [`Misfit`] when no part is open, or its credits have no place.
    pub fn without_open(mut self) -> Result<Self, Misfit> {
        let misfit = Misfit { of: self.of };
        let open = self.open.take().ok_or(misfit)?;
        for share in open.shares() {
            let rest = self.rest.iter_mut().find(|rest| is_same_lot(rest, share)).ok_or(misfit)?;
            rest.amount = rest.amount.plus(share.amount).ok_or(misfit)?;
        }
        self.closed = false;
        Ok(self)
    }

    /// The remainder with a part that was put back and that the account has followed all the same. What other
    /// requests have drawn meanwhile can't be taken again.
    ///
    /// # Errors
    /// [`Misfit`] when the part is of another transaction.
    pub fn landed(mut self, draw: &Draw, made: EntryId) -> Result<Landed, Misfit> {
        let misfit = Misfit { of: self.of };
        let mut overdrawn = Credits::ZERO;
        for share in draw.shares() {
            let lacking = self.take(share).ok_or(misfit)?;
            overdrawn = overdrawn.plus(lacking).ok_or(misfit)?;
        }
        self.closed |= draw.closes;
        self.made.push(draw.made(made).ok_or(misfit)?);
        Ok(Landed { pot: self, overdrawn })
    }

    /// The remainder as it was right after one of its parts.
    #[must_use]
    pub fn as_of(mut self, made: EntryId) -> Self {
        let through = self.made.iter().take_while(|part| part.id != made).count().saturating_add(1);
        let is_last = self.open.is_none() && self.made.len() <= through;
        self.closed &= is_last;
        self.made.truncate(through);
        self.open = None;
        self
    }

    /// Takes a share out of what is left, as far as it is there; how much is not there. `None` when the
    /// transaction never had any of that lot.
    fn take(&mut self, share: &Share) -> Option<Credits> {
        let rest = self.rest.iter_mut().find(|rest| is_same_lot(rest, share))?;
        let part = rest.amount.min(share.amount);
        rest.amount = rest.amount.less(part)?;
        share.amount.less(part)
    }
}
