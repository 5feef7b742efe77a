//! A budget: a limit, for whom, for how long, and what happens at it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{BudgetPeriod, BudgetSubject, Spending};
use crate::{Amount, BudgetId, BudgetLevel, Credits, Operation, PriceCategory, Reference, Service};

/// The maximum number of raises of a budget that have not ended.
pub const RAISES_MAX: usize = 10;

/// The maximum number of thresholds of a budget.
pub const THRESHOLDS_MAX: usize = 10;

/// A limit of what its subject may spend in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Its id.
    pub id: BudgetId,
    /// Whose spending it limits.
    pub subject: BudgetSubject,
    /// Which part of that spending it limits; `None` for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<BudgetFilter>,
    /// How many credits a period may spend, without raises.
    pub limit: Credits,
    /// How long the limit lasts.
    pub period: BudgetPeriod,
    /// What happens at the limit.
    pub action: BudgetAction,
    /// At which percentages of the limit an event is sent, rising, 1 to 100.
    #[serde(default)]
    pub alert_at: Vec<u8>,
    /// What was added to the limit for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raises: Vec<BudgetRaise>,
    /// When it was created.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created_at: DateTime<Utc>,
}

/// Which spending a budget counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BudgetFilter {
    /// That of one operation.
    Operation(Operation),
    /// That of the operations of one category of the price list.
    Category(PriceCategory),
    /// That for one customer.
    Customer(Reference),
    /// That of one service.
    Service(Service),
}

impl BudgetFilter {
    /// What it counts, in words: "the category `aml`".
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Operation(operation) => format!("the operation `{}`", operation.as_str()),
            Self::Category(category) => format!("the category `{}`", category.as_str()),
            Self::Customer(customer) => format!("the customer `{}`", customer.as_str()),
            Self::Service(service) => format!("the service `{}`", service.as_str()),
        }
    }

    /// Whether a budget of this subject can count anything that the filter lets pass.
    #[must_use]
    pub fn fits(&self, subject: &BudgetSubject) -> bool {
        let is_other = |level, name: &str| {
            subject.level == level && subject.id.as_ref().is_some_and(|id| id.as_str() != name)
        };
        match self {
            Self::Operation(operation) => !is_other(BudgetLevel::Operation, operation.as_str()),
            Self::Customer(customer) => !is_other(BudgetLevel::Customer, customer.as_str()),
            Self::Service(service) => !is_other(BudgetLevel::Service, service.as_str()),
            Self::Category(_) => true,
        }
    }
}

/// What happens at a budget's limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetAction {
    /// A request that would exceed it is refused.
    #[default]
    Block,
    /// Nothing is refused; events say how much is used.
    Alert,
}

/// An addition to a limit that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetRaise {
    /// The credits that it adds.
    pub amount: Credits,
    /// When it ends.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub until: DateTime<Utc>,
}

/// A change of a budget. Fields that are `None` stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetChange {
    /// The limit.
    pub limit: Option<Credits>,
    /// What happens at the limit.
    pub action: Option<BudgetAction>,
    /// The percentages at which an event is sent.
    pub alert_at: Option<Vec<u8>>,
}

/// A budget cannot be as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBudget {
    /// A threshold is out of range, or there are too many.
    #[error("must be at most {THRESHOLDS_MAX} whole numbers from 1 to 100")]
    Thresholds,
    /// Too many raises have not ended.
    #[error("the budget has {RAISES_MAX} raises that have not ended; change its limit instead")]
    Raises,
    /// The limit would exceed [`Amount::MAX`].
    #[error("the limit would exceed {} credits", Amount::MAX)]
    Limit,
}

impl BudgetAction {
    /// The name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Alert => "alert",
        }
    }
}

impl Budget {
    /// The percentages of a budget that names none.
    pub const ALERT_AT: [u8; 3] = [50, 80, 100];

    /// The percentages in order, each once.
    ///
    /// # Errors
    /// [`BadBudget::Thresholds`].
    pub fn thresholds(mut asked: Vec<u8>) -> Result<Vec<u8>, BadBudget> {
        asked.sort_unstable();
        asked.dedup();
        let fits = asked.len() <= THRESHOLDS_MAX && asked.iter().all(|percent| (1..=100).contains(percent));
        if fits { Ok(asked) } else { Err(BadBudget::Thresholds) }
    }

    /// How many credits a period may spend at an instant, with the raises that have not ended.
    #[must_use]
    pub fn limit_at(&self, now: DateTime<Utc>) -> Credits {
        let raised = self.raises.iter().filter(|raise| now < raise.until).map(|raise| raise.amount);
        raised.fold(self.limit, |sum, raise| sum.plus(raise).unwrap_or(Credits::MAX))
    }

    /// Whether it counts a spending of its subject.
    #[must_use]
    pub fn counts(&self, spending: &Spending) -> bool {
        match &self.only {
            None => true,
            Some(BudgetFilter::Operation(only)) => spending.operation.as_ref() == Some(only),
            Some(BudgetFilter::Category(only)) => spending.category == Some(*only),
            Some(BudgetFilter::Customer(only)) => {
                spending.customer.as_ref().is_some_and(|customer| customer.composed() == only.composed())
            }
            Some(BudgetFilter::Service(only)) => spending.service == Some(*only),
        }
    }

    /// The budget after a change.
    ///
    /// # Errors
    /// [`BadBudget::Thresholds`].
    pub fn changed(self, change: BudgetChange) -> Result<Self, BadBudget> {
        let BudgetChange { limit, action, alert_at } = change;
        Ok(Self {
            limit: limit.unwrap_or(self.limit),
            action: action.unwrap_or(self.action),
            alert_at: alert_at.map(Self::thresholds).transpose()?.unwrap_or(self.alert_at),
            ..self
        })
    }

    /// The budget with a larger limit: until an instant, or for good.
    ///
    /// # Errors
    /// [`BadBudget::Raises`], [`BadBudget::Limit`].
    pub fn raised(
        mut self,
        amount: Credits,
        until: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Self, BadBudget> {
        let within = |limit: &Credits| limit.get() <= Amount::MAX;
        self.limit_at(now).plus(amount).filter(within).ok_or(BadBudget::Limit)?;
        let Some(until) = until else {
            return Ok(Self { limit: self.limit.plus(amount).ok_or(BadBudget::Limit)?, ..self });
        };
        self.raises.retain(|raise| now < raise.until);
        if RAISES_MAX <= self.raises.len() {
            return Err(BadBudget::Raises);
        }
        self.raises.push(BudgetRaise { amount, until });
        Ok(self)
    }

    /// The highest of its thresholds that `used` has reached.
    #[must_use]
    pub fn reached(alert_at: &[u8], limit: Credits, used: Credits) -> Option<u8> {
        let is_reached = |percent: &u8| {
            let (used, limit) = (u128::from(used.get()), u128::from(limit.get()));
            limit.saturating_mul(u128::from(*percent)) <= used.saturating_mul(100)
        };
        alert_at.iter().copied().filter(is_reached).max()
    }
}
