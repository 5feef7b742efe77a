use aws_sdk_dynamodb::error::BoxError;

use domain::AccountId;
use ports::{NoRandomness, QueueError, Unsealed};

/// The store could not answer. No credit was moved, unless the operation says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Too many others moved the account at once; a retry is likely to land.
    #[error("the account is busy")]
    Busy,
    /// The table could not be reached, or would not serve.
    #[error("could not {doing}")]
    Unavailable {
        /// What was attempted.
        doing: &'static str,
        /// What the SDK said.
        #[source]
        source: BoxError,
    },
    /// An item is not as this code writes it.
    #[error("{what} does not read as this code writes it")]
    Corrupt {
        /// Which item.
        what: &'static str,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// An account's own item does not read. A retry does not help: an operator has to repair the account.
    #[error("the account {account} does not read as this code writes it ({attributes})")]
    BrokenAccount {
        /// Which account.
        account: AccountId,
        /// Which attributes do not read, and why not.
        attributes: String,
    },
}

impl Fault {
    /// Whether a stored item does not read: then the same request fails again until somebody mends the item.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::Corrupt { .. } | Self::BrokenAccount { .. } => true,
            Self::Busy | Self::Unavailable { .. } => false,
        }
    }

    pub(super) fn unavailable(doing: &'static str) -> impl Fn(BoxError) -> Self {
        move |source| Self::Unavailable { doing, source }
    }

    /// A stored item does not read, or is gone that must be there: `what` names it.
    pub fn corrupt(what: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Corrupt { what, source: source.into() }
    }
}

impl From<QueueError> for Fault {
    fn from(error: QueueError) -> Self {
        Self::Unavailable { doing: "send a message", source: error.into() }
    }
}

impl From<Unsealed> for Fault {
    fn from(unsealed: Unsealed) -> Self {
        Self::Unavailable { doing: "use a webhook's secret", source: unsealed.into() }
    }
}

impl From<NoRandomness> for Fault {
    fn from(error: NoRandomness) -> Self {
        Self::Unavailable { doing: "make a secret", source: error.into() }
    }
}
