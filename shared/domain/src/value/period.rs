//! A calendar month.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// A calendar month in UTC, in which subscription credits are valid. Written `2024-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    year: i32,
    month: u32,
}

/// The text is not a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a month such as 2024-01")]
pub struct BadPeriod;

impl Period {
    /// The month of an instant.
    #[must_use]
    pub fn of(at: DateTime<Utc>) -> Self {
        Self { year: at.year(), month: at.month() }
    }

    /// Its first instant.
    #[must_use]
    pub fn start(self) -> DateTime<Utc> {
        // Every `Period` is a valid month, so the fallback is never used.
        let first = NaiveDate::from_ymd_opt(self.year, self.month, 1).unwrap_or_default();
        first.and_time(chrono::NaiveTime::MIN).and_utc()
    }

    /// The next month.
    #[must_use]
    pub fn next(self) -> Self {
        if self.month == 12 {
            Self { year: self.year.saturating_add(1), month: 1 }
        } else {
            Self { month: self.month.saturating_add(1), ..self }
        }
    }

    /// The previous month.
    #[must_use]
    pub fn previous(self) -> Self {
        if self.month == 1 {
            Self { year: self.year.saturating_sub(1), month: 12 }
        } else {
            Self { month: self.month.saturating_sub(1), ..self }
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04}-{:02}", self.year, self.month)
    }
}

impl From<Period> for String {
    fn from(period: Period) -> String {
        period.to_string()
    }
}

impl TryFrom<String> for Period {
    type Error = BadPeriod;

    fn try_from(text: String) -> Result<Self, BadPeriod> {
        let (year, month) = text.split_once('-').ok_or(BadPeriod)?;
        let period =
            Self { year: year.parse().map_err(|_| BadPeriod)?, month: month.parse().map_err(|_| BadPeriod)? };
        let exists = NaiveDate::from_ymd_opt(period.year, period.month, 1).is_some();
        if exists && period.to_string() == text { Ok(period) } else { Err(BadPeriod) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_one_another() {
        let mut period = Period::try_from("2023-11".to_owned()).unwrap();
        for expected in ["2023-12", "2024-01", "2024-02", "2024-03"] {
            period = period.next();
            assert_eq!(period.to_string(), expected);
            assert_eq!(period.next().previous(), period);
            assert_eq!(Period::of(period.start()), period);
            assert_eq!(Period::of(period.next().start() - chrono::Duration::nanoseconds(1)), period);
        }
    }

    #[test]
    fn only_months_are_parsed() {
        for wrong in ["2024-13", "2024-0", "2024-1", "202401", "", "x-y", "+2024-01"] {
            assert!(Period::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
