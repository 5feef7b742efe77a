//! The subscription credits that a plan grants each month.

use serde::{Deserialize, Serialize};

use crate::Credits;

/// The subscription credits that a plan grants each month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AllowanceText", into = "AllowanceText")]
pub enum Allowance {
    /// A number of credits, which may be 0. Unused credits expire when the month ends.
    Monthly(Credits),
    /// No limit: debits are recorded and never refused for lack of credits.
    Unlimited,
}

/// The text is not an allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an allowance is a number of credits or `unlimited`")]
pub struct BadAllowance;

impl Allowance {
    /// The credits that a month begins with; 0 for an unlimited plan.
    #[must_use]
    pub fn monthly(self) -> Credits {
        match self {
            Self::Monthly(credits) => credits,
            Self::Unlimited => Credits::ZERO,
        }
    }

    /// Whether this allowance grants more than `other`.
    #[must_use]
    pub fn exceeds(self, other: Self) -> bool {
        match (self, other) {
            (Self::Monthly(brings), Self::Monthly(least)) => least < brings,
            (Self::Unlimited, Self::Monthly(_)) => true,
            (Self::Monthly(_) | Self::Unlimited, Self::Unlimited) => false,
        }
    }
}

/// The serialised form of an allowance: a number, or `"unlimited"`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum AllowanceText {
    Credits(Credits),
    Word(String),
}

impl TryFrom<AllowanceText> for Allowance {
    type Error = BadAllowance;

    fn try_from(text: AllowanceText) -> Result<Self, BadAllowance> {
        match text {
            AllowanceText::Credits(credits) => Ok(Self::Monthly(credits)),
            AllowanceText::Word(word) if word == "unlimited" => Ok(Self::Unlimited),
            AllowanceText::Word(_) => Err(BadAllowance),
        }
    }
}

impl From<Allowance> for AllowanceText {
    fn from(allowance: Allowance) -> Self {
        match allowance {
            Allowance::Monthly(credits) => Self::Credits(credits),
            Allowance::Unlimited => Self::Word("unlimited".to_owned()),
        }
    }
}
