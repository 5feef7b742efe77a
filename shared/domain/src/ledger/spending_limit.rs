//! The daily spending limit of an organisation.

use serde::{Deserialize, Serialize};

use crate::{Currency, Money};

/// The most money that an organisation's purchases of one day (UTC) may cost. It limits the damage of a price
/// that is wrong by orders of magnitude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpendingLimit(Money);

impl SpendingLimit {
    /// The default limit in minor units: 5,000 pounds.
    pub const DEFAULT: u64 = 500_000;

    /// A limit that an operator sets.
    #[must_use]
    pub fn new(per_day: Money) -> Self {
        Self(per_day)
    }

    /// The default limit in a currency.
    #[must_use]
    pub fn of(currency: Currency) -> Self {
        Self(Money::at_most(Self::DEFAULT, currency))
    }

    /// The limit of a day.
    #[must_use]
    pub fn per_day(self) -> Money {
        self.0
    }

    /// The most that may already be spent so that `price` still fits; `None` when the price alone exceeds the
    /// limit.
    #[must_use]
    pub fn room_for(self, price: Money) -> Option<u64> {
        let fits = price.currency() == self.0.currency();
        self.0.amount().checked_sub(price.amount()).filter(|_| fits)
    }
}
