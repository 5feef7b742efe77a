//! Subscription plans.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::catalogue::version::{Limit, Version, first_version, in_force, revise, room};
use crate::{Allowance, BadUpdate, Currency, EffectiveTime, Money, PlanId, Reference};

/// One version of a subscription plan (seed: "Subscription Plans").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Its id.
    pub plan: PlanId,
    /// The number of the version, from 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Its display name.
    pub name: String,
    /// The monthly fee.
    #[serde(flatten)]
    pub fee: PlanFee,
    /// The monthly allowance.
    pub allowance: Allowance,
    /// Whether API keys without the `dashboard` scope may be used.
    pub api_access: bool,
    /// The maximum number of users of an organisation; `None` for no limit.
    pub max_users: Option<u32>,
    /// Effective from this instant until a later version is.
    pub effective_from: DateTime<Utc>,
}

/// All versions of all plans. The versions of one plan are in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanList(pub Vec<Plan>);

/// The monthly fee of a plan in minor units, `0..=Money::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FeeText", into = "FeeText")]
pub struct PlanFee {
    amount: u64,
    currency: Currency,
}

/// The fee is outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be from 0 to {} minor units", Money::MAX)]
pub struct BadPlanFee;

/// A change of a plan; `None` keeps a field's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanUpdate {
    /// Its display name.
    pub name: Option<Reference>,
    /// The monthly fee.
    pub fee: Option<PlanFee>,
    /// The monthly allowance.
    pub allowance: Option<Allowance>,
    /// Whether API keys without the `dashboard` scope may be used.
    pub api_access: Option<bool>,
    /// The maximum number of users of an organisation; `Some(None)` for no limit.
    pub max_users: Option<Option<u32>>,
}

impl Plan {
    /// The maximum number of versions of one plan.
    pub const VERSIONS_MAX: usize = 50;
    /// The highest limit of users.
    pub const USERS_MAX: u32 = 1_000_000;

    /// Whether its fee is higher than that of `other`. Fees in different currencies cannot be compared: then
    /// any fee above 0 counts as higher.
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
    /// The maximum number of versions of all plans together, so that the list fits into one database item.
    pub const VERSIONS_MAX: usize = 200;

    /// The version of a plan that is effective at `at`.
    #[must_use]
    pub fn plan(&self, plan: &PlanId, at: DateTime<Utc>) -> Option<&Plan> {
        self.0.iter().rfind(|known| known.plan == *plan && known.effective_from <= at)
    }

    /// The effective versions of all plans at `at`, the cheapest first.
    #[must_use]
    pub fn offered(&self, at: DateTime<Utc>) -> Vec<&Plan> {
        let is_latest = |plan: &&Plan| self.plan(&plan.plan, at) == Some(*plan);
        let mut offered: Vec<_> = self.0.iter().filter(is_latest).collect();
        offered.sort_by(|one, other| (one.fee.amount, &one.plan).cmp(&(other.fee.amount, &other.plan)));
        offered
    }

    /// A copy of the list with a new version of a plan, and that version.
    ///
    /// # Errors
    /// [`BadUpdate::Incomplete`] for a new plan with missing fields; [`BadUpdate::InThePast`];
    /// [`BadUpdate::TooMany`].
    pub fn change(
        &self,
        plan: &PlanId,
        wanted: &PlanUpdate,
        when: EffectiveTime,
    ) -> Result<(Self, Plan), BadUpdate> {
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

impl PlanUpdate {
    fn terms(&self, plan: &PlanId, before: Option<&Plan>, when: EffectiveTime) -> Result<Plan, BadUpdate> {
        let name = self.name.as_ref().map(|name| name.as_str().to_owned());
        let name = name.or(before.map(|before| before.name.clone()));
        let fee = self.fee.or(before.map(|before| before.fee));
        let allowance = self.allowance.or(before.map(|before| before.allowance));
        let api_access = self.api_access.or(before.map(|before| before.api_access));
        let max_users = self.max_users.or(before.map(|before| before.max_users));
        let (Some(name), Some(fee), Some(allowance), Some(api_access), Some(max_users)) =
            (name, fee, allowance, api_access, max_users)
        else {
            return Err(BadUpdate::without([
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

impl PlanFee {
    /// A fee of `amount` minor units.
    ///
    /// # Errors
    /// [`BadPlanFee`] past [`Money::MAX`].
    pub fn new(amount: u64, currency: Currency) -> Result<Self, BadPlanFee> {
        if amount <= Money::MAX { Ok(Self { amount, currency }) } else { Err(BadPlanFee) }
    }

    /// The number of minor units.
    #[must_use]
    pub fn amount(self) -> u64 {
        self.amount
    }

    /// The currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }
}

/// The stored form of a fee: two of the plan's fields.
#[derive(Serialize, Deserialize)]
struct FeeText {
    price: u64,
    currency: Currency,
}

impl TryFrom<FeeText> for PlanFee {
    type Error = BadPlanFee;

    fn try_from(text: FeeText) -> Result<Self, BadPlanFee> {
        Self::new(text.price, text.currency)
    }
}

impl From<PlanFee> for FeeText {
    fn from(fee: PlanFee) -> Self {
        Self { price: fee.amount, currency: fee.currency }
    }
}
