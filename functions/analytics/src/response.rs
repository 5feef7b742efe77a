//! The answer: usage by group and time.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{Dimension, Granularity, Measure, Series, UsageSeries};
use scrip_http::{AsOf, timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::request::UsageRequest;
use super::sums::CountedUsage;

/// A point: the first instant of its hour, day, week or month, and its value.
type PointView = (String, i64);

/// Usage by group and time.
#[derive(Serialize, ToSchema)]
#[schema(as = Usage)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "granularity": "daily", "measure": "credits", "timeZone": "UTC", "from": "2024-01-14T00:00:00Z",
    "to": "2024-01-16T00:00:00Z", "groups": ["operation"],
    "series": [
        { "key": { "operation": "aml.pep" },
          "points": [["2024-01-14T00:00:00Z", 4], ["2024-01-15T00:00:00Z", 6]], "total": 10 },
        { "key": { "operation": "credit.refund" },
          "points": [["2024-01-14T00:00:00Z", 0], ["2024-01-15T00:00:00Z", -2]], "total": -2 }
    ],
    "total": { "points": [["2024-01-14T00:00:00Z", 4], ["2024-01-15T00:00:00Z", 4]], "total": 8 },
    "others": { "groups": 0, "points": [["2024-01-14T00:00:00Z", 0], ["2024-01-15T00:00:00Z", 0]], "total": 0 },
    "asOf": { "sequence": 17, "timestamp": "2024-01-15T10:30:00Z" }, "truncated": false
}))]
pub(crate) struct UsageView {
    /// The length of a point.
    #[schema(value_type = String)]
    granularity: Granularity,
    /// What the values are: credits, the number of calls, or what the credits cost in minor units.
    #[schema(value_type = String)]
    measure: Measure,
    /// The time zone of hours, days, weeks and months.
    time_zone: &'static str,
    /// The first instant of the range.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    from: DateTime<Utc>,
    /// The instant after the range.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    to: DateTime<Utc>,
    /// What usage is grouped by.
    #[schema(value_type = Vec<String>)]
    groups: Vec<Dimension>,
    /// The groups with the most usage, the largest first.
    series: Vec<SeriesView>,
    /// The usage of all groups.
    total: SumView,
    /// The usage of the groups that have no series.
    others: OthersView,
    /// The last transaction that is included.
    as_of: AsOf,
    /// Whether there are more customers or members than one answer reads. The usage of those that were not read is in the
    /// group without a name; `total` has all usage.
    truncated: bool,
    /// How costs were found; only with `measure=cost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<CostView>,
}

/// How the costs of usage were found.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageCost)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CostView {
    /// ISO 4217 code of the organisation's currency.
    pub(crate) currency: &'static str,
    /// Whether subscription credits are among them. They count at the plan's list price.
    pub(crate) includes_list_prices: bool,
    /// Credits that count as 0 because their price is not known: those of unlimited and free plans, post-paid credits that
    /// are not bought yet, and credits that were bought in another currency. Bonus credits are not among them.
    pub(crate) unpriced_credits: i64,
}

/// The usage of one group.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageOfGroup)]
pub(crate) struct SeriesView {
    /// The group, by dimension; null for usage without one, such as debits without a customer.
    key: BTreeMap<String, Option<String>>,
    /// The values: `[time, value]`.
    #[schema(value_type = Vec<Vec<Value>>)]
    points: Vec<PointView>,
    /// Their sum.
    total: i64,
}

/// Usage at each point, and in all.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageInAll)]
pub(crate) struct SumView {
    /// The values: `[time, value]`.
    #[schema(value_type = Vec<Vec<Value>>)]
    points: Vec<PointView>,
    /// Their sum.
    total: i64,
}

/// The usage of several groups together.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageOfOthers)]
pub(crate) struct OthersView {
    /// The number of groups.
    groups: usize,
    #[serde(flatten)]
    sum: SumView,
}

impl UsageView {
    pub(crate) fn new(
        asked: &UsageRequest,
        usage: UsageSeries,
        CountedUsage { sequence, is_truncated }: CountedUsage,
        now: DateTime<Utc>,
    ) -> Self {
        let UsageSeries { starts, series, others, others_count, total } = usage;
        let starts: Vec<_> = starts.iter().map(timestamp::text).collect();
        let sum = |of: Series| SumView { points: points(&starts, &of), total: of.total };
        Self {
            granularity: asked.granularity,
            measure: asked.measure,
            time_zone: "UTC",
            from: asked.from,
            to: asked.to,
            groups: asked.groups.clone(),
            series: series.into_iter().map(|one| SeriesView::new(asked, &starts, one)).collect(),
            total: sum(total),
            others: OthersView { groups: others_count, sum: sum(others) },
            as_of: AsOf { sequence, timestamp: now },
            truncated: is_truncated,
            cost: None,
        }
    }

    pub(crate) fn with_cost(self, cost: Option<CostView>) -> Self {
        Self { cost, ..self }
    }
}

impl SeriesView {
    fn new(asked: &UsageRequest, starts: &[String], series: Series) -> Self {
        let points = points(starts, &series);
        let Series { key, total, .. } = series;
        let names = asked.groups.iter().map(|dimension| dimension.as_str().to_owned());
        Self { key: names.zip(key).collect(), points, total }
    }
}

fn points(starts: &[String], series: &Series) -> Vec<PointView> {
    starts.iter().cloned().zip(series.points.iter().copied()).collect()
}
