//! What is asked of usage: a range of time, how it is cut, and by what it is grouped and filtered.

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Timelike, Utc};
use serde::{Deserialize, Serialize};

use crate::{Cell, Direction, KeyId, Operation, Period, PriceCategory, PriceList, Service, Source};

/// The length of a point of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Granularity {
    /// An hour.
    Hourly,
    /// A day.
    Daily,
    /// An ISO week, from Monday on.
    Weekly,
    /// A calendar month.
    Monthly,
}

/// What usage is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dimension {
    /// The operation; `credit.refund` for refunds.
    Operation,
    /// The category of the operation's price; `refund` for refunds.
    Category,
    /// The customer.
    Customer,
    /// The member of staff.
    Member,
    /// The API key.
    Key,
    /// The source of the credits.
    Source,
    /// The service.
    Service,
}

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Credits spent, less those refunded.
    #[default]
    Credits,
    /// The number of debits and captures.
    Calls,
    /// What these credits cost.
    Cost,
}

/// Which usage counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsageFilter {
    /// Only this operation.
    pub operation: Option<Operation>,
    /// Only operations of this category.
    pub category: Option<UsageCategory>,
    /// Only this API key.
    pub key: Option<KeyId>,
    /// Only credits of this source.
    pub source: Option<Source>,
    /// Only this service.
    pub service: Option<Service>,
}

/// The category of usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageCategory {
    /// Identity verification.
    Verification,
    /// AML screening.
    Aml,
    /// Deepfake detection.
    Deepfake,
    /// Screening of crypto transactions (KYT).
    Kyt,
    /// Refunds.
    Refund,
    /// Everything else.
    Other,
}

impl UsageCategory {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verification => "verification",
            Self::Aml => "aml",
            Self::Deepfake => "deepfake",
            Self::Kyt => "kyt",
            Self::Refund => "refund",
            Self::Other => "other",
        }
    }

    /// The category of an operation.
    fn of(operation: &Operation, prices: &PriceList) -> Self {
        if operation.as_str() == "credit.refund" {
            return Self::Refund;
        }
        match prices.category(operation) {
            Some(PriceCategory::Verification) => Self::Verification,
            Some(PriceCategory::Aml) => Self::Aml,
            Some(PriceCategory::Deepfake) => Self::Deepfake,
            Some(PriceCategory::Kyt) => Self::Kyt,
            Some(PriceCategory::Other) | None => Self::Other,
        }
    }
}

impl Granularity {
    /// The maximum number of days of a range.
    #[must_use]
    pub fn days_max(self) -> u64 {
        match self {
            Self::Hourly => 31,
            Self::Daily => 400,
            Self::Weekly | Self::Monthly => 1_100,
        }
    }

    /// The first instant of the point that has `at`.
    #[must_use]
    pub fn start_of(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let day = at.date_naive();
        match self {
            Self::Hourly => {
                midnight(day).checked_add_signed(TimeDelta::hours(at.hour().into())).unwrap_or(at)
            }
            Self::Daily => midnight(day),
            Self::Weekly => {
                let past = Days::new(day.weekday().num_days_from_monday().into());
                midnight(day.checked_sub_days(past).unwrap_or(day))
            }
            Self::Monthly => Period::of(at).start(),
        }
    }

    /// The first instant after the point that ends at or after `at`.
    #[must_use]
    pub fn end_of(self, at: DateTime<Utc>) -> DateTime<Utc> {
        if self.start_of(at) == at { at } else { self.end_after(at) }
    }

    /// The first instant after the point that has `at`.
    #[must_use]
    pub fn end_after(self, at: DateTime<Utc>) -> DateTime<Utc> {
        self.next(self.start_of(at))
    }

    /// The first instant of the next point.
    fn next(self, start: DateTime<Utc>) -> DateTime<Utc> {
        let after = match self {
            Self::Hourly => start.checked_add_signed(TimeDelta::hours(1)),
            Self::Daily => start.checked_add_days(Days::new(1)),
            Self::Weekly => start.checked_add_days(Days::new(7)),
            Self::Monthly => Some(Period::of(start).next().start()),
        };
        after.unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The points that have an instant of `from` up to, but not including, `to`.
    #[must_use]
    pub fn points(self, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let next = |start: &DateTime<Utc>| Some(self.next(*start));
        std::iter::successors(Some(self.start_of(from)), next).take_while(|start| *start < to).collect()
    }
}

pub(super) fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}

impl Dimension {
    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Category => "category",
            Self::Customer => "customer",
            Self::Member => "member",
            Self::Key => "key",
            Self::Source => "source",
            Self::Service => "service",
        }
    }

    /// The group of a cell; `None` for usage without one, and for customers and members.
    pub(super) fn group_of(self, cell: &Cell, prices: &PriceList) -> Option<String> {
        match self {
            Self::Operation => Some(cell.line.operation.as_str().to_owned()),
            Self::Category => Some(UsageCategory::of(&cell.line.operation, prices).as_str().to_owned()),
            Self::Key => cell.line.key.map(|key| key.to_string()),
            Self::Source => cell.lot.map(|lot| lot.source.as_str().to_owned()),
            Self::Service => cell.line.service.map(|service| service.as_str().to_owned()),
            Self::Customer | Self::Member => None,
        }
    }
}

impl UsageFilter {
    /// Whether a cell counts.
    pub(super) fn admits(&self, cell: &Cell, prices: &PriceList) -> bool {
        let Cell { line, lot, .. } = cell;
        let is_category = |wanted: UsageCategory| UsageCategory::of(&line.operation, prices) == wanted;
        self.operation.as_ref().is_none_or(|wanted| *wanted == line.operation)
            && self.category.is_none_or(is_category)
            && self.key.is_none_or(|wanted| line.key == Some(wanted))
            && self.source.is_none_or(|wanted| lot.is_some_and(|lot| lot.source == wanted))
            && self.service.is_none_or(|wanted| line.service == Some(wanted))
    }
}

impl Cell {
    /// What the cell says of usage: 1 for credits that were spent, -1 for credits that were refunded, 0 for everything else.
    #[must_use]
    pub fn usage(&self) -> i8 {
        match (self.line.is_drawn, self.direction) {
            (true, Direction::Debit) => 1,
            (true, Direction::Credit) => -1,
            (false, Direction::Debit) if !self.line.operation.is_own() => 1,
            (false, Direction::Debit | Direction::Credit) => 0,
        }
    }
}
