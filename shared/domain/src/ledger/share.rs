//! Credits of one lot in a drawdown, and the reason for the drawdown.

use serde::{Deserialize, Serialize};

use crate::{Credits, EntryId, LotId, Move, Reference, Source, Terms};

/// Credits of one lot that a transaction moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The lot.
    pub lot: LotId,
    /// Its source.
    #[serde(rename = "src")]
    pub source: Source,
    /// The number of credits.
    #[serde(rename = "n")]
    pub amount: Credits,
    /// The lot's terms.
    #[serde(flatten)]
    pub terms: Terms,
}

/// The reason for a drawdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrawdownReason {
    /// The credits of a debit are refunded.
    Refund {
        /// The refund's reason, one of the seed's.
        reason: RefundReason,
        /// A free text; required when an operator overrides a refusal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Reference>,
        /// The earlier debit that this one duplicates, if that is the reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        twin: Option<EntryId>,
    },
    /// Held credits are spent.
    Capture,
    /// Held credits are returned before the hold's end.
    Release,
    /// Held credits are returned at the hold's end.
    Expiry,
}

/// A drawdown as its own transaction records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// The transaction that was drawn from.
    pub of: EntryId,
    /// The reason.
    pub why: DrawdownReason,
    /// The credits, in the order in which they were taken.
    pub shares: Vec<Share>,
}

/// The reason for a drawdown, without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawdownKind {
    /// A refund, for one of the seed's reasons.
    Refund(RefundReason),
    /// Held credits were spent.
    Capture,
    /// Held credits were returned before the hold's end.
    Release,
    /// Held credits were returned at the hold's end.
    Expiry,
}

impl From<&DrawdownReason> for DrawdownKind {
    fn from(why: &DrawdownReason) -> Self {
        match why {
            DrawdownReason::Refund { reason, .. } => Self::Refund(*reason),
            DrawdownReason::Capture => Self::Capture,
            DrawdownReason::Release => Self::Release,
            DrawdownReason::Expiry => Self::Expiry,
        }
    }
}

impl From<&Move> for Share {
    fn from(part: &Move) -> Self {
        Self { lot: part.lot, source: part.source, amount: part.amount, terms: part.terms }
    }
}

/// What a refund says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefundDetails {
    /// The debit that is refunded.
    pub of: EntryId,
    /// The reason.
    pub reason: RefundReason,
    /// The earlier debit for the same operation, if the reason is a duplicate.
    pub duplicate_of: Option<EntryId>,
}

impl Drawn {
    /// The number of credits.
    #[must_use]
    pub fn amount(&self) -> Credits {
        sum(&self.shares)
    }

    /// Whether held credits are spent.
    #[must_use]
    pub fn is_capture(&self) -> bool {
        self.why == DrawdownReason::Capture
    }

    /// The refund, if it is one.
    #[must_use]
    pub fn refund(&self) -> Option<RefundDetails> {
        match self.why {
            DrawdownReason::Refund { reason, twin, .. } => {
                Some(RefundDetails { of: self.of, reason, duplicate_of: twin })
            }
            DrawdownReason::Capture | DrawdownReason::Release | DrawdownReason::Expiry => None,
        }
    }
}

/// Whether two shares have the same lot and the same terms.
pub(crate) fn is_same_lot(one: &Share, other: &Share) -> bool {
    Share { amount: other.amount, ..*one } == *other
}

/// The sum of the shares' credits.
pub(crate) fn sum(shares: &[Share]) -> Credits {
    shares.iter().fold(Credits::ZERO, |sum, share| sum.plus(share.amount).unwrap_or(Credits::MAX))
}

/// The reason for a refund (seed: "Credit Refunds").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundReason {
    /// The check failed due to a system error: full refund.
    TechnicalFailure,
    /// The same operation was executed twice due to an error: full refund.
    DuplicateOperation,
    /// The verification was cancelled before processing: full refund.
    CanceledVerification,
    /// The document was processed, in low quality: no refund.
    PoorQualityDocument,
    /// The screening was completed: no refund.
    FalsePositive,
}

impl RefundReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::TechnicalFailure,
        Self::DuplicateOperation,
        Self::CanceledVerification,
        Self::PoorQualityDocument,
        Self::FalsePositive,
    ];

    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TechnicalFailure => "technical_failure",
            Self::DuplicateOperation => "duplicate_operation",
            Self::CanceledVerification => "canceled_verification",
            Self::PoorQualityDocument => "poor_quality_document",
            Self::FalsePositive => "false_positive",
        }
    }
}

impl Share {
    /// The grant of its lot; `None` for other lots.
    #[must_use]
    pub fn granted(&self) -> Option<crate::EntryId> {
        match self.lot {
            LotId::Granted(id) => Some(id),
            LotId::Subscription(_) | LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => None,
        }
    }
}
