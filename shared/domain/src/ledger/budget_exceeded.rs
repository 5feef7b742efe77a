//! The refusal of a request by a budget.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::{BudgetId, BudgetLevel, Credits, Reference};

/// A budget has no room for a request. Nothing was charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetExceeded {
    /// The budget.
    pub budget: BudgetId,
    /// The level that it limits.
    pub level: BudgetLevel,
    /// The part of the organisation that it limits; `None` for all of it.
    pub id: Option<Reference>,
    /// Which part of that spending it limits, in words such as "the category `aml`"; `None` for all of it.
    pub only: Option<String>,
    /// Its period in the API: `day`, `week`, `month` or `once`.
    pub period: &'static str,
    /// How much of it is used.
    pub usage: BudgetUse,
    /// The credits that the request adds to it.
    pub required: Credits,
}

/// How much of a budget is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetUse {
    /// The credits that the period may spend, with raises.
    pub limit: Credits,
    /// The credits that it has spent or holds.
    pub used: Credits,
    /// When the next period begins; `None` for a budget that lasts for good.
    pub resets_at: Option<DateTime<Utc>>,
}

impl BudgetUse {
    /// The credits that it can still spend.
    #[must_use]
    pub fn remaining(&self) -> Credits {
        self.limit.less(self.used).unwrap_or_default()
    }
}

impl BudgetExceeded {
    /// Whether the request needs more than a whole period has.
    #[must_use]
    pub fn is_larger_than_the_limit(&self) -> bool {
        self.usage.limit < self.required
    }

    /// Whether the same request may pass in the next period.
    #[must_use]
    pub fn passes_later(&self) -> bool {
        self.usage.resets_at.is_some() && !self.is_larger_than_the_limit()
    }
}

impl fmt::Display for BudgetExceeded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BudgetUse { limit, used, resets_at } = self.usage;
        write!(out, "a budget of the {}", self.level.as_str())?;
        if let Some(id) = &self.id {
            write!(out, " `{}`", id.as_str())?;
        }
        if let Some(only) = &self.only {
            write!(out, " for {only}")?;
        }
        let period = if self.period == "once" { "in all".to_owned() } else { format!("a {}", self.period) };
        write!(
            out,
            " allows {} credits {period}, {} are used, and the request needs {}; ",
            limit.get(),
            used.get(),
            self.required.get()
        )?;
        match resets_at {
            Some(_) if self.is_larger_than_the_limit() => out.write_str("no period has so much; ")?,
            Some(at) => write!(out, "wait until {}, or ", at.to_rfc3339_opts(SecondsFormat::Secs, true))?,
            None => out.write_str("it does not reset; ")?,
        }
        out.write_str("ask for more with POST /api/v3/budget-requests")
    }
}
