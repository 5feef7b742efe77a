//! Why the store could not answer, and why a request was not settled.

use aws_sdk_dynamodb::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

use domain::{AccountId, DrawdownError, DrawdownMismatch, Refusal};
use ports::{NoRandomness, QueueError, SealError, SealFailure};

/// Whether an error of DynamoDB, by its code, says that there are too many requests.
fn is_throttling(code: &str) -> bool {
    ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"].contains(&code)
}

/// The store could not answer. No credit was moved, unless the operation says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Too many requests changed the account at once; a retry is likely to succeed.
    #[error("the account is busy")]
    Busy,
    /// Rows of the account's earlier transactions are not written yet; a retry is likely to succeed.
    #[error("rows of earlier transactions are not written yet")]
    Backlogged,
    /// The table could not be reached or did not answer.
    #[error("could not {doing}")]
    Unavailable {
        /// What was attempted.
        doing: &'static str,
        /// What the SDK reported.
        #[source]
        source: BoxError,
    },
    /// A stored item is missing or does not have the format that this code writes.
    #[error("{what} is not in the format that this code writes")]
    Corrupt {
        /// Which item.
        what: &'static str,
        /// Why it is unreadable.
        #[source]
        source: BoxError,
    },
    /// An account's own item is unreadable. A retry does not help: an operator has to repair the account.
    #[error("the account {account} is not in the format that this code writes ({attributes})")]
    BrokenAccount {
        /// Which account.
        account: AccountId,
        /// Which attributes are unreadable, and why.
        attributes: String,
    },
}

impl Fault {
    /// Whether a stored item is unreadable: the same request then fails until an operator repairs the item.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::Corrupt { .. } | Self::BrokenAccount { .. } => true,
            Self::Busy | Self::Backlogged | Self::Unavailable { .. } => false,
        }
    }

    /// Whether DynamoDB throttled the write of an item.
    pub(crate) fn is_throttled(&self) -> bool {
        let Self::Unavailable { source, .. } = self else { return false };
        let put = source.downcast_ref::<SdkError<PutItemError>>().and_then(ProvideErrorMetadata::code);
        let update = source.downcast_ref::<SdkError<UpdateItemError>>().and_then(ProvideErrorMetadata::code);
        put.or(update).is_some_and(is_throttling)
    }

    /// The table did not answer a request.
    pub(crate) fn unavailable(doing: &'static str, error: impl Into<BoxError>) -> Self {
        Self::Unavailable { doing, source: error.into() }
    }

    /// A stored item is unreadable, or is missing where it must exist: `what` names it.
    pub fn corrupt(what: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Corrupt { what, source: source.into() }
    }
}

impl From<QueueError> for Fault {
    fn from(error: QueueError) -> Self {
        Self::unavailable("send a message", error)
    }
}

impl From<SealError> for Fault {
    fn from(unsealed: SealError) -> Self {
        match unsealed.cause {
            SealFailure::Unavailable => Self::unavailable("use a webhook's secret", unsealed),
            SealFailure::Unreadable => Self::corrupt("a webhook's secret", unsealed),
        }
    }
}

impl From<NoRandomness> for Fault {
    fn from(error: NoRandomness) -> Self {
        Self::unavailable("make a secret", error)
    }
}

/// Why a request was not settled.
#[derive(Debug, thiserror::Error)]
pub enum Unsettled {
    /// The key was used before, for another request.
    #[error("the idempotency key was used for a different request")]
    KeyReused,
    /// The rules refused the request; no credits moved, and the key may be used again.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The account does not exist.
    #[error("no such account")]
    NoAccount,
    /// Another attempt under the same key may be running, or its outcome is not certain yet.
    #[error("another attempt under this key is not settled yet")]
    InProgress,
    /// Credits are lacking that ended holds will return; this request closed some of these holds.
    #[error("holds that have ended are being closed")]
    HoldsEnded,
    /// The store could not answer. No credits moved.
    #[error(transparent)]
    Failed(#[from] Fault),
}

impl From<QueueError> for Unsettled {
    fn from(error: QueueError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<DrawdownMismatch> for Fault {
    fn from(misfit: DrawdownMismatch) -> Self {
        Self::corrupt("the remainder of a transaction", misfit)
    }
}

impl From<DrawdownMismatch> for Unsettled {
    fn from(misfit: DrawdownMismatch) -> Self {
        Fault::from(misfit).into()
    }
}

impl From<DrawdownError> for Unsettled {
    fn from(not_taken: DrawdownError) -> Self {
        match not_taken {
            DrawdownError::Refused(refusal) => refusal.into(),
            DrawdownError::Misfit(misfit) => misfit.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_told_from_other_errors() {
        for (code, expected) in [
            ("ProvisionedThroughputExceededException", true),
            ("RequestLimitExceeded", true),
            ("ThrottlingException", true),
            ("InternalServerError", false),
            ("ValidationException", false),
        ] {
            assert_eq!(is_throttling(code), expected, "{code}");
        }
        assert!(!Fault::Backlogged.is_throttled() && !Fault::Backlogged.is_unreadable());
    }
}
