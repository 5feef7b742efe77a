//! Requests for a larger budget.

use chrono::{DateTime, Days, Utc};
use serde::{Deserialize, Serialize};

use super::BudgetPeriod;
use crate::{BudgetId, BudgetRequestId, Credits, Reference};

/// A request for a larger budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetRequest {
    /// Its id.
    pub id: BudgetRequestId,
    /// The budget.
    pub budget: BudgetId,
    /// How many credits were asked for, beyond the limit.
    pub amount: Credits,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reference>,
    /// Who asked: the key or the member that signed in.
    pub asked_by: String,
    /// When it was made.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created_at: DateTime<Utc>,
    /// How it stands.
    pub status: BudgetRequestStatus,
}

/// How a request for a larger budget stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum BudgetRequestStatus {
    /// It waits for an answer.
    Open,
    /// The limit was raised.
    #[serde(rename_all = "camelCase")]
    Approved {
        /// The credits that were added.
        amount: Credits,
        /// When the raise ends; `None` for good.
        until: Option<DateTime<Utc>>,
        /// Who approved it.
        by: String,
        /// When.
        #[serde(with = "chrono::serde::ts_seconds")]
        at: DateTime<Utc>,
    },
    /// It was declined.
    #[serde(rename_all = "camelCase")]
    Declined {
        /// Who declined it.
        by: String,
        /// When.
        #[serde(with = "chrono::serde::ts_seconds")]
        at: DateTime<Utc>,
    },
}

/// When a raise ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RaiseEnd {
    /// After 24 hours.
    Day,
    /// With the budget's period.
    Reset,
    /// Never: the limit itself is raised.
    Never,
}

impl BudgetRequest {
    /// Whether it was answered as `wanted` is: by the same caller, with the same credits until the same kind of end. A repeated
    /// answer is one answer.
    #[must_use]
    pub fn answer_is(&self, wanted: &Self) -> bool {
        use BudgetRequestStatus::{Approved, Declined};
        match (&self.status, &wanted.status) {
            (
                Approved { amount, until, by, at },
                Approved { amount: other, until: wanted_until, by: caller, at: wanted_at },
            ) => {
                let is_day =
                    |until: &Option<_>, at: &DateTime<Utc>| *until == at.checked_add_days(Days::new(1));
                amount == other
                    && until.is_some() == wanted_until.is_some()
                    && is_day(until, at) == is_day(wanted_until, wanted_at)
                    && by == caller
            }
            (Declined { by, .. }, Declined { by: caller, .. }) => by == caller,
            (BudgetRequestStatus::Open | Approved { .. } | Declined { .. }, _) => false,
        }
    }
}

impl BudgetRequestStatus {
    /// The name in the API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved { .. } => "approved",
            Self::Declined { .. } => "declined",
        }
    }
}

impl RaiseEnd {
    /// The instant at which a raise ends that begins at `now`; `None` for one that does not end.
    #[must_use]
    pub fn of(self, period: BudgetPeriod, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Day => now.checked_add_days(Days::new(1)),
            Self::Reset => period.at(now).end,
            Self::Never => None,
        }
    }
}
