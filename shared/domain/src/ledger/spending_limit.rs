use serde::{Deserialize, Serialize};

use crate::{Currency, Money};

/// How much money the purchases of one day (UTC) may cost an organisation. A price that is wrong by two digits
/// is stopped here, whoever buys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpendingLimit(Money);

impl SpendingLimit {
    /// The limit of an organisation for which an operator set none, in minor units: 5,000 pounds.
    pub const DEFAULT: u64 = 500_000;

    /// A limit that an operator sets.
    #[must_use]
    pub fn new(per_day: Money) -> Self {
        Self(per_day)
    }

    /// The limit in a currency for which an operator set none.
    #[must_use]
    pub fn of(currency: Currency) -> Self {
        Self(Money::at_most(Self::DEFAULT, currency))
    }

    /// What a day's purchases may cost together.
    #[must_use]
    pub fn per_day(self) -> Money {
        self.0
    }

    /// The most that may be spent already for `price` to fit; none when the price alone is too much.
    #[must_use]
    pub fn room_for(self, price: Money) -> Option<u64> {
        let fits = price.currency() == self.0.currency();
        self.0.amount().checked_sub(price.amount()).filter(|_| fits)
    }
}
