//! Credits of one lot that a transaction moved, and why another one draws them from it.

use serde::{Deserialize, Serialize};

use crate::{Credits, EntryId, LotId, Move, Reference, Source, Terms};

/// Credits of one lot that a transaction moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which lot.
    pub lot: LotId,
    /// Its bucket.
    #[serde(rename = "src")]
    pub source: Source,
    /// How many.
    #[serde(rename = "n")]
    pub amount: Credits,
    /// On which terms the lot is spent.
    #[serde(flatten)]
    pub terms: Terms,
}

/// Why credits are drawn from a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// They are given back.
    Refund {
        /// For which of the seed's reasons.
        reason: Reason,
        /// In words; always there where an operator has overridden a refusal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Reference>,
        /// The earlier debit for the same, where that is the reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        twin: Option<EntryId>,
    },
    /// What was set aside is spent.
    Capture,
    /// What was set aside is given back before its time.
    Release,
    /// What was set aside is given back because its time has come.
    Expiry,
}

/// What one transaction drew from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// From which.
    pub of: EntryId,
    /// Why.
    pub why: Why,
    /// Which credits, in the order in which they were taken.
    pub shares: Vec<Share>,
}

/// Why a part was drawn, without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawdownCause {
    /// A refund, for one of the seed's reasons.
    Refund(Reason),
    /// Held credits were spent.
    Capture,
    /// Held credits were given back before the hold's end.
    Release,
    /// Held credits were given back at the hold's end.
    Expiry,
}

impl From<&Why> for DrawdownCause {
    fn from(why: &Why) -> Self {
        match why {
            Why::Refund { reason, .. } => Self::Refund(*reason),
            Why::Capture => Self::Capture,
            Why::Release => Self::Release,
            Why::Expiry => Self::Expiry,
        }
    }
}

impl From<&Move> for Share {
    fn from(part: &Move) -> Self {
        Self { lot: part.lot, source: part.source, amount: part.amount, terms: part.terms }
    }
}

impl Drawn {
    /// How many credits.
    #[must_use]
    pub fn amount(&self) -> Credits {
        sum(&self.shares)
    }
}

/// Whether two shares are of one lot, on the same terms.
pub(crate) fn is_same_lot(one: &Share, other: &Share) -> bool {
    Share { amount: other.amount, ..*one } == *other
}

/// How many credits some shares are.
pub(crate) fn sum(shares: &[Share]) -> Credits {
    shares.iter().fold(Credits::ZERO, |sum, share| sum.plus(share.amount).unwrap_or(Credits::MAX))
}

/// Why credits are asked back (seed: "Credit Refunds").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
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

impl Share {
    /// Whether it is a granted lot's.
    #[must_use]
    pub fn granted(&self) -> Option<crate::EntryId> {
        match self.lot {
            LotId::Granted(id) => Some(id),
            LotId::Subscription(_) | LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => None,
        }
    }
}
