//! How many credits a refusal, or an item that a batch leaves out, lacks.

use crate::{Credits, Part, Posting, Refusal};

impl Refusal {
    /// How many credits more would have done; `None` when credits are not what it lacks.
    #[must_use]
    pub fn lacking(&self) -> Option<Credits> {
        if let Self::InsufficientCredits { required, available } = self {
            Some(required.less(*available).unwrap_or_default())
        } else {
            None
        }
    }
}

impl Posting {
    /// The refusal of that item of a batch which lacks the fewest credits; `None` when no item lacks any.
    #[must_use]
    pub fn shortest(&self) -> Option<Refusal> {
        let short = self.entry.parts.iter().filter_map(|part| match *part {
            Part::Short { required, available } => Some(Refusal::InsufficientCredits { required, available }),
            Part::Taken(_) | Part::Unpriced => None,
        });
        short.min_by_key(Refusal::lacking)
    }
}
