//! The credits lacking for a refused request, or for an item that a batch does not charge.

use crate::{BatchOutcome, Credits, PassedOverLot, Posting, Refusal};

impl Refusal {
    /// The credits lacking; `None` when the refusal is not for lack of credits.
    #[must_use]
    pub fn lacking(&self) -> Option<Credits> {
        if let Self::InsufficientCredits { required, available, .. } = self {
            Some(required.less(*available).unwrap_or_default())
        } else {
            None
        }
    }
}

impl Refusal {
    /// The refusal with the lots that have credits and could not pay.
    pub(crate) fn passing_over(self, lots: Vec<PassedOverLot>) -> Self {
        if let Self::InsufficientCredits { required, available, .. } = self {
            Self::InsufficientCredits { required, available, passed_over: lots }
        } else {
            self
        }
    }
}

impl Posting {
    /// The refusal of the batch item that lacks the fewest credits; `None` when no item lacks any.
    #[must_use]
    pub fn shortest(&self) -> Option<Refusal> {
        let short = self.entry.parts.iter().filter_map(|part| match *part {
            BatchOutcome::Short { required, available } => {
                Some(Refusal::InsufficientCredits { required, available, passed_over: vec![] })
            }
            BatchOutcome::Taken(_) | BatchOutcome::Unpriced => None,
        });
        short.min_by_key(Refusal::lacking)
    }
}
