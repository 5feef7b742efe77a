//! `GET /api/v3/credits/usage/forecast`: what the month will use, and how long the balance lasts.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Days, NaiveDate, Utc};
use domain::{
    Estimate, Forecast, ForecastRequest, Funds, PackageSuggestion, RunOut, Shortfall, UsageForecast,
};
use scrip_http::{ApiError, App, AsOf, Caller, Reply, may};
use serde::Serialize;
use store::Unsettled;
use utoipa::ToSchema;

/// The usage that is expected.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageForecast)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "status": "known", "daysKnown": 45, "daysNeeded": 7, "usedSoFar": 412,
    "monthEnd": { "expected": 870, "low": 810, "high": 940 },
    "runsOut": { "expected": "2024-02-09", "earliest": "2024-02-02", "latest": null },
    "needed": { "expected": 0, "high": 40 }, "package": { "package": "starter", "quantity": 1 },
    "method": "Weighted mean of a slow mean, a fast mean and a damped trend of daily usage, by weekday. …",
    "asOf": { "sequence": 812, "timestamp": "2024-01-15T10:30:00Z" }
}))]
pub(crate) struct ForecastView {
    /// `known`, or `notEnoughData` if fewer than `daysNeeded` days have passed since the first usage, or, without any usage,
    /// since the organisation was opened. Everything about the future is then null.
    status: &'static str,
    /// The number of complete days since the first usage that the forecast is made from, at most 120.
    days_known: usize,
    /// The number of days that a forecast needs.
    days_needed: usize,
    /// Credits used this month until now, less refunds; 0 if more was refunded than used.
    used_so_far: Option<u64>,
    /// Credits that the whole month uses, what was used so far included.
    month_end: Option<EstimateView>,
    /// The first day at whose end nothing is left.
    runs_out: Option<RunOutView>,
    /// Credits that are missing until the month's end, with those that are owed.
    needed: Option<NeededView>,
    /// The smallest package that covers `needed.high`, otherwise the largest; null if nothing is missing, or if there is no
    /// package in the organisation's currency.
    package: Option<SuggestionView>,
    /// How the forecast was made.
    method: Option<&'static str>,
    /// The last transaction that is included.
    as_of: AsOf,
}

/// A number of credits with its 80 % band.
#[derive(Serialize, ToSchema)]
#[schema(as = ForecastEstimate)]
pub(crate) struct EstimateView {
    /// What is expected.
    expected: u64,
    /// In one of ten cases it is lower.
    low: u64,
    /// In one of ten cases it is higher.
    high: u64,
}

/// A day with its 80 % band. A day is null if it is more than 92 days from now, or if the plan is unlimited.
#[derive(Serialize, ToSchema)]
#[schema(as = ForecastRunOut)]
pub(crate) struct RunOutView {
    /// The expected day.
    expected: Option<NaiveDate>,
    /// In one of ten cases it is earlier.
    earliest: Option<NaiveDate>,
    /// In one of ten cases it is later.
    latest: Option<NaiveDate>,
}

/// Credits that are missing.
#[derive(Serialize, ToSchema)]
#[schema(as = ForecastNeeded)]
pub(crate) struct NeededView {
    /// With the expected usage.
    expected: u64,
    /// With high usage.
    high: u64,
}

/// A package to buy.
#[derive(Serialize, ToSchema)]
#[schema(as = ForecastPackage)]
pub(crate) struct SuggestionView {
    /// The package.
    package: String,
    /// How many of it.
    quantity: u64,
}

/// Returns the usage that is expected until the end of the month, and the day on which the balance runs out, each with a
/// band that contains the actual value in 80 of 100 cases.
///
/// The forecast is made from the last 120 days. It follows what a debit without a service can spend, with the allowances of
/// coming months and the credits that expire. With fewer than seven complete days since the first usage, `status` is
/// `notEnoughData`.
#[utoipa::path(
    get,
    path = "/api/v3/credits/usage/forecast",
    tag = "credits",
    responses((status = 200, body = ForecastView)),
)]
pub(crate) async fn forecast(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
) -> Result<Reply, ApiError> {
    let now = caller.call.moment.now;
    let account = app.ledger.account(caller.account).await?.ok_or(Unsettled::NoAccount)?;
    let watermark = app.ledger.projected_through(account.id).await?;
    let days = first_day(account.id.org.time(), now).date_naive()..=now.date_naive();
    let rollups =
        app.activity.day_rollups(account.id, days.clone(), watermark.notified().pending.as_ref()).await?;
    let net = |day: NaiveDate| rollups.get(&day).map_or(0, domain::Rollup::net_usage);
    let today = now.date_naive();
    let complete = days.start().iter_days().take_while(|day| *day < today).map(net).collect();
    let organisation = app
        .settings
        .organisation(account.id.org, caller.call.moment.wall)
        .await?
        .ok_or(Unsettled::NoAccount)?;
    let catalogue = app.settings.catalogue(caller.call.moment.wall).await?;
    let packages = catalogue.packages.plain_on_sale_in(organisation.currency, now);
    let made = Forecast::of(&ForecastRequest {
        now,
        days: complete,
        today: net(today),
        funds: Funds::of(&account, now),
        packages: &packages,
    });
    let as_of = AsOf { sequence: watermark.notified_through(), timestamp: now };
    Reply::ok(&ForecastView::new(made, as_of))
}

/// The first day that a forecast is made from.
fn first_day(opened: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    let most = u64::try_from(Forecast::DAYS_MAX).unwrap_or_default();
    now.checked_sub_days(Days::new(most)).unwrap_or(opened).max(opened)
}

impl ForecastView {
    fn new(forecast: Forecast, as_of: AsOf) -> Self {
        let unknown = Self {
            status: "notEnoughData",
            days_known: 0,
            days_needed: Forecast::DAYS_NEEDED,
            used_so_far: None,
            month_end: None,
            runs_out: None,
            needed: None,
            package: None,
            method: None,
            as_of,
        };
        match forecast {
            Forecast::NotEnoughData { days_known, .. } => Self { days_known, ..unknown },
            Forecast::Known(UsageForecast {
                method,
                days_known,
                used_so_far,
                month_end,
                runs_out,
                needed,
                package,
            }) => Self {
                status: "known",
                days_known,
                used_so_far: Some(used_so_far.get()),
                month_end: Some(month_end.into()),
                runs_out: Some(runs_out.into()),
                needed: Some(needed.into()),
                package: package.map(SuggestionView::from),
                method: Some(method.as_str()),
                ..unknown
            },
        }
    }
}

impl From<Estimate> for EstimateView {
    fn from(Estimate { expected, low, high }: Estimate) -> Self {
        Self { expected: expected.get(), low: low.get(), high: high.get() }
    }
}

impl From<RunOut> for RunOutView {
    fn from(RunOut { expected, earliest, latest }: RunOut) -> Self {
        Self { expected, earliest, latest }
    }
}

impl From<Shortfall> for NeededView {
    fn from(Shortfall { expected, high }: Shortfall) -> Self {
        Self { expected: expected.get(), high: high.get() }
    }
}

impl From<PackageSuggestion> for SuggestionView {
    fn from(PackageSuggestion { package, quantity }: PackageSuggestion) -> Self {
        Self { package: package.0, quantity }
    }
}
