//! How many subscription credits a month brings.

use serde::{Deserialize, Serialize};

use crate::Credits;

/// How many subscription credits a month brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AllowanceText", into = "AllowanceText")]
pub enum Allowance {
    /// That many, unused ones gone when the month turns. May be none.
    Monthly(Credits),
    /// Debits are recorded and never refused for want of credits.
    Unlimited,
}

/// Text that is not an allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an allowance is a number of credits or `unlimited`")]
pub struct BadAllowance;

impl Allowance {
    /// The credits that a month begins with: none where there is no limit to count down from.
    #[must_use]
    pub fn monthly(self) -> Credits {
        match self {
            Self::Monthly(credits) => credits,
            Self::Unlimited => Credits::ZERO,
        }
    }

    /// Whether it brings more than another one.
    #[must_use]
    pub fn exceeds(self, other: Self) -> bool {
        match (self, other) {
            (Self::Monthly(brings), Self::Monthly(least)) => least < brings,
            (Self::Unlimited, Self::Monthly(_)) => true,
            (Self::Monthly(_) | Self::Unlimited, Self::Unlimited) => false,
        }
    }
}

/// How an allowance is written: a number, or `"unlimited"`.
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
