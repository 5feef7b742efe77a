//! An account with everything that is due.

use chrono::{DateTime, Utc};

use crate::operation::due;
use crate::{Account, DUE_MAX};

impl Account {
    /// The account with everything that is due by `now` applied, the oldest first: its state after the store has posted
    /// it. Stops at a posting that cannot be applied, and after [`DUE_MAX`] postings.
    #[must_use]
    pub fn with_due(mut self, now: DateTime<Utc>) -> Self {
        for _ in 0..DUE_MAX {
            let Some(after) = due(&self, now).and_then(|posting| self.clone().apply(&posting)) else { break };
            self = after;
        }
        self
    }
}
