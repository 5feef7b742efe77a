//! The forecast of an account's usage.

use std::cmp::Reverse;

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

use super::funds::Funds;
use super::history::{fraction, usage_of, whole};
use super::model::{CumulativeUsage, DAYS_MIN, UsageModel};
use crate::{Credits, Package, PackageId, Period};

/// What a forecast is made from.
#[derive(Clone, Debug)]
pub struct ForecastRequest<'a> {
    /// The current time.
    pub now: DateTime<Utc>,
    /// The net usage of each complete day in UTC, in credits: debits and captures less refunds. The oldest day first,
    /// yesterday last, none left out. Below zero when refunds exceed usage. The last [`Forecast::DAYS_MAX`] days and
    /// this month's count.
    pub days: Vec<i64>,
    /// The net usage of today until now, in credits.
    pub today: i64,
    /// What the account can spend.
    pub funds: Funds,
    /// The packages that the organisation can buy, as
    /// [`PackageList::plain_on_sale_in`](crate::PackageList::plain_on_sale_in) lists
    /// them.
    pub packages: &'a [&'a Package],
}

/// A forecast of usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// There are too few days to forecast from.
    NotEnoughData {
        /// The number of complete days since the first usage.
        days_known: usize,
        /// The number of days that a forecast needs.
        days_needed: usize,
    },
    /// The forecast.
    Known(UsageForecast),
}

/// Usage until the month's end, and until the balance runs out. `low` and `high`, `earliest` and `latest` are the
/// ends of bands that contain the actual value in 80 of 100 cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageForecast {
    /// How it was made.
    pub method: ForecastMethod,
    /// The number of days that it was made from, `7..=120`.
    pub days_known: usize,
    /// The credits used this month until now, net of refunds; 0 when refunds exceed usage.
    pub used_so_far: Credits,
    /// The credits used in the whole month, net of refunds, what was used so far included.
    pub month_end: Estimate,
    /// The day on which the balance runs out.
    pub runs_out: RunOut,
    /// The credits that are missing until the month's end.
    pub needed: Shortfall,
    /// The package that covers `needed.high`; `None` when nothing is missing or nothing is on sale.
    pub package: Option<PackageSuggestion>,
}

/// How a forecast was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForecastMethod {
    /// From so few days that no forecast of the past can be compared with what came.
    AssumedErrors,
    /// With a band from the errors of past forecasts.
    PastErrors,
}

/// A number of credits and its 80 % band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The expected number.
    pub expected: Credits,
    /// The number is lower in one of ten cases.
    pub low: Credits,
    /// The number is higher in one of ten cases.
    pub high: Credits,
}

/// The first day in UTC at whose end no credits are left; `None` when it is more than [`Forecast::HORIZON_DAYS`]
/// ahead, and on an unlimited plan. Allowances of coming months, and credits that expire, are taken into account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOut {
    /// With the expected usage.
    pub expected: Option<NaiveDate>,
    /// With high usage.
    pub earliest: Option<NaiveDate>,
    /// With low usage.
    pub latest: Option<NaiveDate>,
}

/// Credits that are missing until the month's end: usage that the balance does not cover, and the outstanding credits,
/// which a purchase settles first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// With the expected usage.
    pub expected: Credits,
    /// With high usage.
    pub high: Credits,
}

/// A package to buy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageSuggestion {
    /// The smallest package that covers what is missing, otherwise the largest; of the same size, the cheapest.
    pub package: PackageId,
    /// How many of it are needed: 1 unless none is large enough.
    pub quantity: u64,
}

impl ForecastMethod {
    /// The method in two sentences, for the reader of the forecast.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AssumedErrors => {
                "Weighted mean of a slow mean, a fast mean and a damped trend of daily usage, by weekday. The \
                 80 % band follows from how usage varies between days, and from an assumption about how far the \
                 mean may be off: fewer than 14 days show no errors of past forecasts."
            }
            Self::PastErrors => {
                "Weighted mean of a slow mean, a fast mean and a damped trend of daily usage, by weekday. The \
                 80 % band follows from how usage varies between days, and from the errors of the same forecast \
                 on past days."
            }
        }
    }
}

impl Forecast {
    /// The number of days that a forecast needs.
    pub const DAYS_NEEDED: usize = DAYS_MIN;
    /// The maximum number of days that a forecast is made from.
    pub const DAYS_MAX: usize = 120;
    /// The number of days after today within which the balance may run out.
    pub const HORIZON_DAYS: usize = 92;

    /// The forecast of an account's usage.
    #[must_use]
    pub fn of(request: &ForecastRequest<'_>) -> Self {
        let usage = usage_of(&request.days, Self::DAYS_MAX);
        let days_known = usage.len();
        if days_known < Self::DAYS_NEEDED {
            return Self::NotEnoughData { days_known, days_needed: Self::DAYS_NEEDED };
        }
        let days = Self::HORIZON_DAYS.saturating_add(1);
        let sums: Vec<CumulativeUsage> =
            UsageModel::fit(&usage).sums(request.today_left()).take(days).collect();
        let with =
            |usage: fn(&CumulativeUsage) -> f64| request.funds.after(request.now, sums.iter().map(usage));
        let (expected, low, high) = (with(|sum| sum.expected), with(|sum| sum.low), with(|sum| sum.high));
        let needed =
            Shortfall { expected: request.needed(expected.missing), high: request.needed(high.missing) };
        let has_errors = days_known >= Self::DAYS_NEEDED.saturating_mul(2);
        Self::Known(UsageForecast {
            method: if has_errors { ForecastMethod::PastErrors } else { ForecastMethod::AssumedErrors },
            days_known,
            used_so_far: whole(fraction(request.used())),
            month_end: request.month_end(&sums),
            runs_out: RunOut { expected: expected.runs_out, earliest: high.runs_out, latest: low.runs_out },
            needed,
            package: request.package(needed.high),
        })
    }
}

impl ForecastRequest<'_> {
    /// The part of today that is still to come.
    fn today_left(&self) -> f64 {
        1.0 - f64::from(self.now.num_seconds_from_midnight()) / 86_400.0
    }

    /// This month's net usage until now, in credits; below zero when refunds exceed usage.
    fn used(&self) -> i64 {
        let before_today = usize::try_from(self.now.day0()).unwrap_or_default();
        let days = self.days.iter().rev().take(before_today);
        days.fold(self.today, |sum, day| sum.saturating_add(*day))
    }

    /// The usage of the whole month.
    fn month_end(&self, sums: &[CumulativeUsage]) -> Estimate {
        let next = Period::of(self.now).next().start();
        let days = self.now.date_naive().iter_days().take_while(|day| *day < next.date_naive());
        let ahead = days.zip(sums).last().map(|(_, sum)| *sum).unwrap_or_default();
        let used = fraction(self.used());
        Estimate {
            expected: whole(used + ahead.expected),
            low: whole(used + ahead.low),
            high: whole(used + ahead.high),
        }
    }

    /// The credits that a purchase must bring when usage lacks `missing`: it settles the outstanding credits first.
    fn needed(&self, missing: f64) -> Credits {
        whole(missing).plus(self.funds.outstanding).unwrap_or(Credits::MAX)
    }

    fn package(&self, needed: Credits) -> Option<PackageSuggestion> {
        if needed.is_zero() {
            return None;
        }
        let packages = || self.packages.iter();
        let large = packages().filter(|package| needed <= package.credits.into());
        let smallest = large.min_by_key(|package| (package.credits, package.price.amount()));
        let largest = || packages().min_by_key(|package| (Reverse(package.credits), package.price.amount()));
        let found = smallest.or_else(largest)?;
        let quantity = needed.get().div_ceil(found.credits.into());
        Some(PackageSuggestion { package: found.package.clone(), quantity })
    }
}
