//! The record of a lot: how many credits it has had, what they cost, and how many left it other than by usage.

use chrono::{DateTime, Utc};

use crate::{Arrival, Credits, Currency, EntryId, LotChange, LotChangeKind, LotId, Source, Terms};

/// The record of a lot. With what the lot still has, it says how many of its credits were used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LotRecord {
    /// The lot.
    pub lot: LotId,
    /// Its source.
    pub source: Source,
    /// Its terms.
    pub terms: Terms,
    /// When its first credits arrived.
    pub opened_at: DateTime<Utc>,
    /// The transaction that brought them; for a purchase the purchase.
    pub transaction: EntryId,
    /// All credits that arrived.
    pub amount: Credits,
    /// Those that expired.
    pub expired: Credits,
    /// Those that were taken back: by an operator, a smaller plan, a dispute, or a refund of money.
    pub withdrawn: Credits,
    /// Those that went to other lots.
    pub moved: Credits,
    /// What they cost; `None` for credits that were not bought.
    pub cost: Option<Cost>,
}

/// What credits cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Minor units (pence, cents) of the currency.
    pub minor: u64,
    /// The currency.
    pub currency: Currency,
}

impl Cost {
    /// What `part` credits cost where `whole` credits cost this much, rounded down; nothing where `whole` is 0.
    #[must_use]
    pub fn of_part(self, part: Credits, whole: Credits) -> Self {
        let product = u128::from(self.minor).saturating_mul(part.get().into());
        let minor = product.checked_div(whole.get().into()).unwrap_or_default();
        Self { minor: u64::try_from(minor).unwrap_or(u64::MAX), ..self }
    }
}

impl LotRecord {
    /// The record of a lot that begins with this change.
    #[must_use]
    pub fn begin(change: &LotChange) -> Self {
        Self {
            lot: change.lot,
            source: change.source,
            terms: change.terms,
            opened_at: change.at,
            transaction: change.transaction,
            amount: Credits::ZERO,
            expired: Credits::ZERO,
            withdrawn: Credits::ZERO,
            moved: Credits::ZERO,
            cost: None,
        }
    }

    /// Adds a change. `from` is the record of the lot that credits came from, so that they bring what they cost.
    pub fn add(&mut self, change: &LotChange, from: Option<&Self>) {
        let amount = change.amount;
        let plus = |sum: Credits, more| sum.plus(more).unwrap_or(Credits::MAX);
        match change.kind {
            LotChangeKind::Arrived(arrival) => {
                self.amount = plus(self.amount, amount);
                self.terms = change.terms;
                self.add_cost(arrival.cost(amount, from));
            }
            LotChangeKind::Returned => {
                let back = self.withdrawn.min(amount);
                self.withdrawn = self.withdrawn.less(back).unwrap_or_default();
                self.amount = plus(self.amount, amount.less(back).unwrap_or_default());
            }
            LotChangeKind::Expired => self.expired = plus(self.expired, amount),
            LotChangeKind::Withdrawn => self.withdrawn = plus(self.withdrawn, amount),
            LotChangeKind::Moved => self.moved = plus(self.moved, amount),
        }
    }

    /// Adds a cost. Credits that were paid for in another currency than the first have none: organisations have one
    /// currency.
    fn add_cost(&mut self, more: Option<Cost>) {
        self.cost = match (self.cost, more) {
            (Some(known), Some(more)) if known.currency == more.currency => {
                Some(Cost { minor: known.minor.saturating_add(more.minor), ..known })
            }
            (known, more) => known.or(more),
        };
    }

    /// The credits that debits and open holds have taken of it, when `remaining` are left.
    #[must_use]
    pub fn taken(&self, remaining: Credits) -> Credits {
        let others = [self.expired, self.withdrawn, self.moved, remaining];
        others.iter().fold(self.amount, |left, part| left.less(*part).unwrap_or_default())
    }
}

impl Arrival {
    /// What `amount` of these credits cost.
    fn cost(self, amount: Credits, from: Option<&LotRecord>) -> Option<Cost> {
        match self {
            Self::Granted => None,
            Self::Bought { price, credits } => {
                let cost = Cost { minor: price.amount(), currency: price.currency() };
                Some(cost.of_part(amount, credits))
            }
            Self::FromLot(_) => {
                let from = from?;
                Some(from.cost?.of_part(amount, from.amount))
            }
        }
    }
}
