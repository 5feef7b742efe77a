//! Drawdowns from a transaction, and its remainder.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ledger::share::{is_same_lot, sum};
use crate::{
    ClaimKey, Credits, DRAWDOWNS_MAX, Details, DrawdownKind, DrawdownReason, Drawn, EntryId, Fingerprint,
    Receipt, Refusal, Share,
};

/// The credits of a new drawdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawdownShares {
    /// The credits, by lot.
    pub shares: Vec<Share>,
    /// Whether it is the last drawdown.
    pub closes: bool,
}

/// The remainder of a transaction: its drawdowns, and the credits left to draw. Refunds draw from a debit;
/// captures and a release draw from a hold. A request first takes its part here by one conditional write, so
/// that all drawdowns together never exceed the transaction; then the account is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remainder {
    /// The transaction.
    pub of: EntryId,
    /// The credits left of each of its moves, in order.
    pub rest: Vec<Share>,
    /// The end of a hold; `None` for a debit.
    pub ends: Option<DateTime<Utc>>,
    /// The drawdowns that are posted to the account, the earliest first.
    pub made: Vec<Drawdown>,
    /// The number of `made` that the store keeps in separate items.
    pub paged: usize,
    /// The last drawdown, while it is not known to be posted to the account. The next one is only taken when
    /// this is `None`.
    pub open: Option<PendingDrawdown>,
    /// Whether the last drawdown closed it.
    pub closed: bool,
    /// Incremented with every change.
    pub revision: u64,
}

/// A drawdown that was posted to the account. The row of its transaction has the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawdown {
    /// The drawdown's transaction.
    pub id: EntryId,
    /// The number of credits.
    pub amount: Credits,
    /// The reason.
    pub cause: DrawdownKind,
}

/// A drawdown that was taken from a remainder and is not yet known to be posted to the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDrawdown {
    /// The claim of its posting.
    pub key: ClaimKey,
    /// The fingerprint of the request.
    pub asked: Fingerprint,
    /// The details of its transaction: [`Details::drawn`] has the credits. Details of the hold are not repeated
    /// here.
    pub details: Details,
    /// Whether it is the last drawdown.
    pub closes: bool,
}

/// A drawdown and its remainder are inconsistent: the drawdown has more credits of a lot than the remainder, or
/// credits that the transaction never had. Requests cannot cause this; it is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a drawdown from {of} does not match its remainder")]
pub struct DrawdownMismatch {
    /// The transaction.
    pub of: EntryId,
}

/// The reason why a drawdown was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DrawdownError {
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is inconsistent with the remainder.
    #[error(transparent)]
    Misfit(#[from] DrawdownMismatch),
}

/// A remainder with a drawdown that was cancelled but posted nevertheless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateDrawdown {
    /// The remainder with the drawdown.
    pub remainder: Remainder,
    /// The credits that other requests drew in the meantime, which were therefore moved twice.
    pub overdrawn: Credits,
}

/// The order in which a drawdown takes the credits of a remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawOrder {
    /// First in, first out: captures spend in the order of consumption.
    First,
    /// Last in, first out: refunds reverse the order of consumption.
    Last,
}

impl PendingDrawdown {
    /// The number of credits drawn.
    #[must_use]
    pub fn amount(&self) -> Credits {
        self.details.drawn.as_ref().map_or(Credits::ZERO, Drawn::amount)
    }

    /// The reason for the drawdown.
    #[must_use]
    pub fn cause(&self) -> Option<DrawdownKind> {
        self.details.drawn.as_ref().map(|drawn| DrawdownKind::from(&drawn.why))
    }

    fn shares(&self) -> &[Share] {
        self.details.drawn.as_ref().map_or(&[], |drawn| &drawn.shares)
    }

    /// The posted drawdown, with the id of its transaction.
    fn made(&self, id: EntryId) -> Option<Drawdown> {
        Some(Drawdown { id, amount: self.amount(), cause: self.cause()? })
    }
}

impl Remainder {
    /// The remainder of a transaction without drawdowns: the credits that it moved, or captured.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Self {
        let rest = match &receipt.details.drawn {
            Some(drawn) if drawn.why == DrawdownReason::Capture => drawn.shares.clone(),
            Some(_) | None => receipt.entry.moves.iter().map(Share::from).collect(),
        };
        let ends = receipt.details.expires_at.filter(|_| receipt.is_hold());
        let of = receipt.entry.id;
        Self { of, rest, ends, made: vec![], paged: 0, open: None, closed: false, revision: 0 }
    }

    /// The number of credits left to draw.
    #[must_use]
    pub fn left(&self) -> Credits {
        sum(&self.rest)
    }

    /// The number of drawdowns.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.made.len().saturating_add(usize::from(self.open.is_some()))
    }

    /// The number of credits drawn.
    #[must_use]
    pub fn drawn(&self) -> Credits {
        let made = self.made.iter().map(|made| made.amount);
        let amounts = made.chain(self.open.iter().map(PendingDrawdown::amount));
        amounts.fold(Credits::ZERO, |sum, amount| sum.plus(amount).unwrap_or(Credits::MAX))
    }

    /// The open drawdown, if it has this claim key.
    #[must_use]
    pub fn open_under(&self, key: &ClaimKey) -> Option<&PendingDrawdown> {
        self.open.as_ref().filter(|open| open.key == *key)
    }

    /// Whether the drawdown with this transaction is known to be posted to the account.
    #[must_use]
    pub fn has_made(&self, id: EntryId) -> bool {
        self.made.iter().any(|made| made.id == id)
    }

    /// The reason for the drawdown that closed the remainder, whatever the time.
    #[must_use]
    pub fn closed_by(&self) -> Option<DrawdownKind> {
        let last = self.made.last().map(|made| made.cause);
        self.open.as_ref().and_then(PendingDrawdown::cause).or(last).filter(|_| self.closed)
    }

    /// The next `amount` credits in `order`, returned share by share in the order of consumption; `None` when
    /// there are not enough.
    #[must_use]
    pub fn next(&self, amount: Credits, order: DrawOrder) -> Option<Vec<Share>> {
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
            DrawOrder::First => self.rest.iter().for_each(&mut take),
            DrawOrder::Last => self.rest.iter().rev().for_each(&mut take),
        }
        if order == DrawOrder::Last {
            shares.reverse();
        }
        wanted.is_zero().then_some(shares)
    }

    /// The remainder with a new open drawdown.
    ///
    /// # Errors
    /// [`Refusal::TooManyDraws`]; [`DrawdownMismatch`].
    pub fn with(mut self, drawdown: PendingDrawdown) -> Result<Self, DrawdownError> {
        // The last drawdown is reserved for one that takes everything left.
        let most = if drawdown.closes { DRAWDOWNS_MAX } else { DRAWDOWNS_MAX.saturating_sub(1) };
        if self.parts() >= most {
            return Err(Refusal::TooManyDraws.into());
        }
        let misfit = DrawdownMismatch { of: self.of };
        if self.open.is_some() {
            return Err(misfit.into());
        }
        for share in drawdown.shares() {
            self.take(share).filter(|lacking| lacking.is_zero()).ok_or(misfit)?;
        }
        self.closed = drawdown.closes;
        self.open = Some(drawdown);
        Ok(self)
    }

    /// The remainder once its open drawdown is posted to the account.
    ///
    /// # Errors
    /// [`DrawdownMismatch`] when no drawdown is open.
    pub fn posted(mut self, made: EntryId) -> Result<Self, DrawdownMismatch> {
        let part = self.open.take().and_then(|open| open.made(made));
        self.made.push(part.ok_or(DrawdownMismatch { of: self.of })?);
        Ok(self)
    }

    /// The remainder without its open drawdown, which is cancelled.
    ///
    /// # Errors
    /// [`DrawdownMismatch`] when no drawdown is open, or its credits do not belong to the remainder.
    pub fn without_open(mut self) -> Result<Self, DrawdownMismatch> {
        let misfit = DrawdownMismatch { of: self.of };
        let open = self.open.take().ok_or(misfit)?;
        for share in open.shares() {
            let rest = self.rest.iter_mut().find(|rest| is_same_lot(rest, share)).ok_or(misfit)?;
            rest.amount = rest.amount.plus(share.amount).ok_or(misfit)?;
        }
        self.closed = false;
        Ok(self)
    }

    /// The remainder with a drawdown that was cancelled but posted to the account nevertheless. Credits that
    /// other requests drew in the meantime cannot be taken again.
    ///
    /// # Errors
    /// [`DrawdownMismatch`] when the drawdown is of another transaction.
    pub fn landed(
        mut self,
        drawdown: &PendingDrawdown,
        made: EntryId,
    ) -> Result<LateDrawdown, DrawdownMismatch> {
        let misfit = DrawdownMismatch { of: self.of };
        let mut overdrawn = Credits::ZERO;
        for share in drawdown.shares() {
            let lacking = self.take(share).ok_or(misfit)?;
            overdrawn = overdrawn.plus(lacking).ok_or(misfit)?;
        }
        self.closed |= drawdown.closes;
        self.made.push(drawdown.made(made).ok_or(misfit)?);
        Ok(LateDrawdown { remainder: self, overdrawn })
    }

    /// The remainder as it was right after one of its drawdowns.
    #[must_use]
    pub fn as_of(mut self, made: EntryId) -> Self {
        let through = self.made.iter().take_while(|part| part.id != made).count().saturating_add(1);
        let is_last = self.open.is_none() && self.made.len() <= through;
        self.closed &= is_last;
        self.made.truncate(through);
        self.open = None;
        self
    }

    /// Takes a share from the credits left, as far as available, and returns the credits lacking. `None` when
    /// the transaction never had credits of that lot.
    fn take(&mut self, share: &Share) -> Option<Credits> {
        let rest = self.rest.iter_mut().find(|rest| is_same_lot(rest, share))?;
        let part = rest.amount.min(share.amount);
        rest.amount = rest.amount.less(part)?;
        share.amount.less(part)
    }
}
