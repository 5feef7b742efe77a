use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::catalogue::version::{Limit, Version, in_force, revise, room};
use crate::{Allowance, BadChange, Currency, Money, PlanId, Reference, When};

/// One version of a subscription plan (seed: "Subscription Plans").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Its name in requests.
    pub plan: PlanId,
    /// 1 for its first version, 2 for the next, …
    #[serde(default = "first")]
    pub version: u32,
    /// Its name for people.
    pub name: String,
    /// Price a month.
    #[serde(flatten)]
    pub fee: Fee,
    /// Credits a month.
    pub allowance: Allowance,
    /// Whether keys without the `dashboard` scope may be used.
    pub api_access: bool,
    /// How many users an organisation may have; `None` for any number.
    pub max_users: Option<u32>,
    /// In force from this instant on, until a later version is.
    pub effective_from: DateTime<Utc>,
}

/// Every plan, all versions; the later version of a plan lies after the earlier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanList(pub Vec<Plan>);

/// What a plan costs a month, in minor units, `0..=Money::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FeeText", into = "FeeText")]
pub struct Fee {
    amount: u64,
    currency: Currency,
}

/// A price that no plan has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be from 0 to {} minor units", Money::MAX)]
pub struct BadFee;

/// What is to be changed of a plan; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanChange {
    /// Its name for people.
    pub name: Option<Reference>,
    /// Price a month.
    pub fee: Option<Fee>,
    /// Credits a month.
    pub allowance: Option<Allowance>,
    /// Whether keys without the `dashboard` scope may be used.
    pub api_access: Option<bool>,
    /// How many users an organisation may have; `Some(None)` for any number.
    pub max_users: Option<Option<u32>>,
}

impl Plan {
    /// How many versions a plan keeps.
    pub const VERSIONS_MAX: usize = 50;
    /// The highest number of users that a plan may name.
    pub const USERS_MAX: u32 = 1_000_000;

    /// Whether a month of it costs more than a month of `other`. Prices in two currencies can't be compared:
    /// then it does, unless it costs nothing.
    #[must_use]
    pub fn costs_more_than(&self, other: &Self) -> bool {
        if self.fee.currency == other.fee.currency {
            other.fee.amount < self.fee.amount
        } else {
            0 < self.fee.amount
        }
    }
}

impl Version for Plan {
    const MAX: Limit = Limit { max: Self::VERSIONS_MAX, kept: "versions of one plan" };

    fn number(&self) -> u32 {
        self.version
    }

    fn effective_from(&self) -> DateTime<Utc> {
        self.effective_from
    }

    fn renumbered(self, version: u32, effective_from: DateTime<Utc>) -> Self {
        Self { version, effective_from, ..self }
    }
}

impl PlanList {
    /// Versions of all plans together at most, so that the list stays one item of the database,
    /// whatever is in it.
    pub const VERSIONS_MAX: usize = 200;

    /// A plan as it is at `at`.
    #[must_use]
    pub fn plan(&self, plan: &PlanId, at: DateTime<Utc>) -> Option<&Plan> {
        self.0.iter().rfind(|known| known.plan == *plan && known.effective_from <= at)
    }

    /// Every plan as it is at `at`, the cheapest first.
    #[must_use]
    pub fn offered(&self, at: DateTime<Utc>) -> Vec<&Plan> {
        let is_latest = |plan: &&Plan| self.plan(&plan.plan, at) == Some(*plan);
        let mut offered: Vec<_> = self.0.iter().filter(is_latest).collect();
        offered.sort_by(|one, other| (one.fee.amount, &one.plan).cmp(&(other.fee.amount, &other.plan)));
        offered
    }

    /// The list with another version of a plan, and that version.
    ///
    /// # Errors
    /// [`BadChange::Incomplete`] for a new plan that is not told whole; [`BadChange::InThePast`];
    /// [`BadChange::TooMany`].
    pub fn change(&self, plan: &PlanId, wanted: &PlanChange, when: When) -> Result<(Self, Plan), BadChange> {
        let versions: Vec<_> = self.0.iter().filter(|known| known.plan == *plan).cloned().collect();
        let terms = wanted.terms(plan, in_force(&versions, when.from()), when)?;
        let (version, is_new) = revise(&versions, terms, when)?;
        let mut changed = self.clone();
        if is_new {
            room(self.0.len(), Limit { max: Self::VERSIONS_MAX, kept: "versions of plans" })?;
            changed.0.push(version.clone());
        }
        Ok((changed, version))
    }
}

impl PlanChange {
    fn terms(&self, plan: &PlanId, before: Option<&Plan>, when: When) -> Result<Plan, BadChange> {
        let name = self.name.as_ref().map(|name| name.as_str().to_owned());
        let name = name.or(before.map(|before| before.name.clone()));
        let fee = self.fee.or(before.map(|before| before.fee));
        let allowance = self.allowance.or(before.map(|before| before.allowance));
        let api_access = self.api_access.or(before.map(|before| before.api_access));
        let max_users = self.max_users.or(before.map(|before| before.max_users));
        let (Some(name), Some(fee), Some(allowance), Some(api_access), Some(max_users)) =
            (name, fee, allowance, api_access, max_users)
        else {
            return Err(BadChange::without([
                ("name", self.name.is_some()),
                ("price", self.fee.is_some()),
                ("allowance", self.allowance.is_some()),
                ("apiAccess", self.api_access.is_some()),
                ("maxUsers", self.max_users.is_some()),
            ]));
        };
        let effective_from = when.from();
        Ok(Plan {
            plan: plan.clone(),
            version: 0,
            name,
            fee,
            allowance,
            api_access,
            max_users,
            effective_from,
        })
    }
}

impl Fee {
    /// That many minor units a month.
    ///
    /// # Errors
    /// [`BadFee`] past [`Money::MAX`].
    pub fn new(amount: u64, currency: Currency) -> Result<Self, BadFee> {
        if amount <= Money::MAX { Ok(Self { amount, currency }) } else { Err(BadFee) }
    }

    /// Minor units.
    #[must_use]
    pub fn amount(self) -> u64 {
        self.amount
    }

    /// Of which currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }
}

/// How a plan's price is stored: beside what else the plan has.
#[derive(Serialize, Deserialize)]
struct FeeText {
    price: u64,
    currency: Currency,
}

impl TryFrom<FeeText> for Fee {
    type Error = BadFee;

    fn try_from(text: FeeText) -> Result<Self, BadFee> {
        Self::new(text.price, text.currency)
    }
}

impl From<Fee> for FeeText {
    fn from(fee: Fee) -> Self {
        Self { price: fee.amount, currency: fee.currency }
    }
}

fn first() -> u32 {
    1
}
