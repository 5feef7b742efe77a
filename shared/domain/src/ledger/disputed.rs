//! The credits that an open dispute has set aside.

use crate::ledger::lot::POOL;
use crate::{Credits, EntryId};

/// The credits that an open dispute has set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisputedCredits {
    /// The lot of the purchase.
    pub lot: EntryId,
    /// The credits set aside, which cannot be spent.
    pub aside: Credits,
    /// The number of disputed credits. Credits that return to the lot are set aside too, up to this number.
    pub most: Credits,
}

impl DisputedCredits {
    /// The credits that can still be added to it.
    #[must_use]
    pub fn missing(&self) -> Credits {
        self.most.less(self.aside).unwrap_or_default()
    }

    /// Whether credits of this lot can be credits of the disputed purchase.
    #[must_use]
    pub fn concerns(&self, lot: EntryId) -> bool {
        self.lot == lot || lot == POOL
    }
}
