//! The forecast of usage: how much a month uses, when the balance runs out, and which package covers the rest.
//!
//! The method, one file each: a profile of the week (`week_profile`), three estimates of the daily mean (`daily_mean`),
//! their mean by past errors and the band around it (`model`). Whole credits go in and come out; fractions stay inside.
#![expect(clippy::float_arithmetic, reason = "means and variances are fractions")]

mod daily_mean;
mod funds;
mod history;
mod model;
mod usage_forecast;
mod week_profile;

pub use funds::{Funds, FundsPart};
pub use usage_forecast::{
    Estimate, Forecast, ForecastMethod, ForecastRequest, PackageSuggestion, RunOut, Shortfall, UsageForecast,
};
