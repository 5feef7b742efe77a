//! What an open dispute has set aside.

use crate::ledger::lot::POOL;
use crate::{Credits, EntryId};

/// What an open dispute has set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disputed {
    /// The lot of the purchase.
    pub lot: EntryId,
    /// How many credits are set aside: nobody can spend them.
    pub aside: Credits,
    /// How many it is about. What comes back to the lot is set aside too, up to that.
    pub most: Credits,
}

impl Disputed {
    /// How many credits may still come back to it.
    #[must_use]
    pub fn missing(&self) -> Credits {
        self.most.less(self.aside).unwrap_or_default()
    }

    /// Whether credits of the lot may be credits of the disputed purchase.
    #[must_use]
    pub fn concerns(&self, lot: EntryId) -> bool {
        self.lot == lot || lot == POOL
    }
}
