//! Ids of plans, packages and payments, and categories of operations.

use serde::{Deserialize, Serialize};

use crate::BadId;

/// The id of a subscription plan: `free`, `basic`, `professional`, `enterprise`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub String);

impl TryFrom<String> for PlanId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        BadId::name(text).map(Self)
    }
}

/// The id of a package: `starter`, `growth`, `professional`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PackageId(pub String);

impl TryFrom<String> for PackageId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        BadId::name(text).map(Self)
    }
}

/// The payment provider's id of a payment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PaymentId(pub String);

/// The category of an operation in the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PriceCategory {
    /// Identity verification.
    Verification,
    /// AML screening.
    Aml,
    /// Deepfake detection.
    Deepfake,
    /// KYT crypto.
    Kyt,
    /// Everything else.
    Other,
}

impl PriceCategory {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verification => "verification",
            Self::Aml => "aml",
            Self::Deepfake => "deepfake",
            Self::Kyt => "kyt",
            Self::Other => "other",
        }
    }
}
