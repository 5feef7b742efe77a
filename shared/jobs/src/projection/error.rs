//! Why an account could not be projected.

use ports::QueueError;
use store::Fault;

/// Why an account could not be projected.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The store is unavailable, or an item is unreadable.
    #[error(transparent)]
    Failed(#[from] Fault),
    /// Auto-recharge or renewal could not be notified.
    #[error("auto-recharge or renewal could not be notified")]
    Unnotified(#[from] QueueError),
    /// The stream has lost more records of the account than are recovered while others wait.
    #[error("the stream has lost {lost} records of the account")]
    Behind {
        /// The number of lost records.
        lost: u64,
    },
}

impl ProjectionError {
    /// Whether a stored item cannot be read. Then the account waits until the item is repaired.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::Failed(fault) => fault.is_unreadable(),
            Self::Unnotified(_) | Self::Behind { .. } => false,
        }
    }
}
