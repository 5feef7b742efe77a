//! The periods of budgets, in UTC.

use chrono::{DateTime, Datelike, Days, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

use crate::Period;

/// How long a budget's limit lasts, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetPeriod {
    /// A day.
    Day,
    /// A week from Monday on.
    Week,
    /// A calendar month.
    Month,
    /// For good: what is used never returns.
    Once,
}

/// One period of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetTime {
    /// Its first instant; 1970 for a budget that lasts for good.
    pub start: DateTime<Utc>,
    /// The first instant of the next one; `None` for a budget that lasts for good.
    pub end: Option<DateTime<Utc>>,
}

impl BudgetPeriod {
    /// The name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Once => "once",
        }
    }

    /// The period that contains an instant.
    #[must_use]
    pub fn at(self, now: DateTime<Utc>) -> BudgetTime {
        let midnight = now.date_naive().and_time(NaiveTime::MIN).and_utc();
        let after = |start: DateTime<Utc>, days| start.checked_add_days(Days::new(days));
        match self {
            Self::Day => BudgetTime { start: midnight, end: after(midnight, 1) },
            Self::Week => {
                let since = Days::new(now.weekday().num_days_from_monday().into());
                let start = midnight.checked_sub_days(since).unwrap_or(midnight);
                BudgetTime { start, end: after(start, 7) }
            }
            Self::Month => {
                let month = Period::of(now);
                BudgetTime { start: month.start(), end: Some(month.next().start()) }
            }
            Self::Once => BudgetTime { start: DateTime::UNIX_EPOCH, end: None },
        }
    }
}
