use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Credits;

/// The name of a subscription plan: `free`, `basic`, `professional`, `enterprise`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub String);

/// A subscription plan as the catalogue has it (seed: "Subscription Plans").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Its name in requests.
    pub plan: PlanId,
    /// Its name for people.
    pub name: String,
    /// Price a month in minor units of `currency`.
    pub price: u64,
    /// ISO 4217 code of the price.
    pub currency: String,
    /// Credits a month.
    pub allowance: Allowance,
    /// Whether keys without the `dashboard` scope may be used.
    pub api_access: bool,
    /// How many users an organisation may have; `None` for any number.
    pub max_users: Option<u32>,
    /// From when on it may be chosen.
    pub effective_from: DateTime<Utc>,
}

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
