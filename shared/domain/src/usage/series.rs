//! Series of usage: cells of rollups by group and time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};

use super::query::midnight;
use crate::{
    Cell, CellSum, Dimension, Granularity, LotId, LotPrices, Measure, Period, PriceList, Rollup, UsageFilter,
};

/// How usage is added up.
#[derive(Clone, Debug)]
pub struct UsageQuery<'a> {
    /// The first instant.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub to: DateTime<Utc>,
    /// The length of a point.
    pub granularity: Granularity,
    /// What it is grouped by.
    pub groups: Vec<Dimension>,
    /// Which usage counts.
    pub filter: UsageFilter,
    /// What is measured.
    pub measure: Measure,
    /// The number of series; the groups with less usage are added up as others.
    pub top: usize,
    /// The categories of operations.
    pub prices: &'a PriceList,
}

/// Whose usage a rollup is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageOwner {
    /// The customer.
    pub customer: Option<String>,
    /// The member of staff.
    pub member: Option<String>,
}

/// The value of a group at each point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The group, a value for each dimension; `None` for usage without one.
    pub key: Vec<Option<String>>,
    /// The values, one for each point of the range.
    pub points: Vec<i64>,
    /// Their sum.
    pub total: i64,
}

/// Usage, by group and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSeries {
    /// The first instants of the points.
    pub starts: Vec<DateTime<Utc>>,
    /// The groups with the most usage, the largest first.
    pub series: Vec<Series>,
    /// The other groups together.
    pub others: Series,
    /// How many groups `others` has.
    pub others_count: usize,
    /// The usage of all groups.
    pub total: Series,
}

/// Usage that is being added up.
#[derive(Clone, Debug)]
pub struct UsageSum<'a> {
    query: UsageQuery<'a>,
    starts: Vec<DateTime<Utc>>,
    groups: BTreeMap<Group, Points>,
}

/// The values that are not zero, by the number of their point: most groups have usage at few points, and a cost keeps a
/// group for each lot.
type Points = BTreeMap<usize, i64>;

/// A group of usage, and while costs are added up the lot that paid for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    lot: Option<LotId>,
    key: Vec<Option<String>>,
}

impl<'a> UsageSum<'a> {
    /// A sum of nothing.
    #[must_use]
    pub fn new(query: UsageQuery<'a>) -> Self {
        let starts = query.granularity.points(query.from, query.to);
        Self { query, starts, groups: BTreeMap::new() }
    }

    /// Adds the rollup of a day, whose slots are hours.
    pub fn add_day(&mut self, day: NaiveDate, owner: &UsageOwner, rollup: &Rollup) {
        for (cell, sum) in &rollup.cells {
            let hour = TimeDelta::hours(cell.slot.into());
            self.add(midnight(day).checked_add_signed(hour).unwrap_or_default(), owner, cell, *sum);
        }
    }

    /// Adds the rollup of a month, whose slots are days.
    pub fn add_month(&mut self, month: Period, owner: &UsageOwner, rollup: &Rollup) {
        for (cell, sum) in &rollup.cells {
            let day = month.start().date_naive().with_day(cell.slot.into());
            self.add(day.map(midnight).unwrap_or_default(), owner, cell, *sum);
        }
    }

    fn add(&mut self, at: DateTime<Utc>, owner: &UsageOwner, cell: &Cell, sum: CellSum) {
        let UsageQuery { from, to, granularity, groups, filter, measure, prices, .. } = &self.query;
        let value = value(cell, sum, *measure);
        if at < *from || *to <= at || value == 0 || !filter.admits(cell, prices) {
            return;
        }
        let group = |dimension: &Dimension| match dimension {
            Dimension::Customer => owner.customer.clone(),
            Dimension::Member => owner.member.clone(),
            Dimension::Operation
            | Dimension::Category
            | Dimension::Key
            | Dimension::Source
            | Dimension::Service => dimension.group_of(cell, prices),
        };
        let key: Vec<_> = groups.iter().map(group).collect();
        let Ok(place) = self.starts.binary_search(&granularity.start_of(at)) else { return };
        let lot = cell.lot.map(|lot| lot.lot).filter(|_| *measure == Measure::Cost);
        increase(self.groups.entry(Group { lot, key }).or_default(), place, value);
    }

    /// The lots that paid for usage, if costs are measured.
    #[must_use]
    pub fn lots(&self) -> BTreeSet<LotId> {
        self.groups.keys().filter_map(|group| group.lot).collect()
    }

    /// The costs of usage, and the number of credits whose lots have no known price. Those cost nothing.
    #[must_use]
    pub fn priced(self, prices: &LotPrices) -> (Self, i64) {
        let (mut groups, mut unpriced) = (BTreeMap::<Group, Points>::new(), 0_i64);
        let mut by_lot: BTreeMap<Option<LotId>, Vec<(Group, Points)>> = BTreeMap::new();
        for (group, points) in self.groups {
            by_lot.entry(group.lot).or_default().push((Group { lot: None, ..group }, points));
        }
        for (lot, usage) in by_lot {
            let credits: Vec<_> = usage.iter().flat_map(|(_, points)| points.values()).copied().collect();
            let costs = match lot.and_then(|lot| prices.get(&lot)) {
                Some(price) => price.share_out(&credits),
                None => {
                    unpriced = credits.iter().copied().fold(unpriced, i64::saturating_add);
                    vec![0; credits.len()]
                }
            };
            let mut costs = costs.into_iter();
            for (group, points) in usage {
                let sums = groups.entry(group).or_default();
                points.keys().zip(&mut costs).for_each(|(place, cost)| increase(sums, *place, cost));
            }
        }
        (Self { groups, ..self }, unpriced)
    }

    /// The series: the largest groups, the others together, and all.
    #[must_use]
    pub fn series(self) -> UsageSeries {
        let width = self.starts.len();
        let total_of = |points: &Points| points.values().copied().fold(0, i64::saturating_add);
        let mut groups: Vec<_> = self.groups.into_iter().collect();
        // Groups of equal usage stay in the order of their names.
        groups.sort_by_cached_key(|(_, points)| std::cmp::Reverse(total_of(points)));
        let total = Series::sum_of(&groups, width);
        let rest = groups.split_off(self.query.top.min(groups.len()));
        let others = Series::sum_of(&rest, width);
        let series = groups.into_iter().map(|(group, points)| Series::new(group.key, &points, width));
        UsageSeries { starts: self.starts, series: series.collect(), others, others_count: rest.len(), total }
    }
}

fn increase(points: &mut Points, place: usize, by: i64) {
    let point = points.entry(place).or_default();
    *point = point.saturating_add(by);
}

impl Series {
    fn new(key: Vec<Option<String>>, values: &Points, width: usize) -> Self {
        let mut points = vec![0_i64; width];
        for (place, value) in values {
            if let Some(point) = points.get_mut(*place) {
                *point = *value;
            }
        }
        let total = points.iter().copied().fold(0, i64::saturating_add);
        Self { key, points, total }
    }

    fn sum_of(groups: &[(Group, Points)], width: usize) -> Self {
        let mut sums = Points::new();
        for (_, points) in groups {
            points.iter().for_each(|(place, value)| increase(&mut sums, *place, *value));
        }
        Self::new(vec![], &sums, width)
    }
}

impl Rollup {
    /// Subtracts what one of its customers or members has in a cell: from the same cell, and, where one of the two rollups
    /// was full, from those of the same time, lot and kind. A rollup of a customer may be ahead by the transactions of a
    /// moment; what is not there is not subtracted.
    fn subtract(&mut self, cell: &Cell, sum: CellSum) {
        let mut left = sum;
        if let Some(known) = self.cells.get_mut(cell) {
            left = known.less(left);
        }
        if left == CellSum::default() {
            return;
        }
        let is_alike = |other: &Cell| {
            (other.slot, other.lot, other.direction, other.line.is_drawn, other.usage())
                == (cell.slot, cell.lot, cell.direction, cell.line.is_drawn, cell.usage())
        };
        for (_, known) in self.cells.iter_mut().filter(|(other, _)| is_alike(other)) {
            left = known.less(left);
        }
    }

    /// Credits spent less credits refunded.
    #[must_use]
    pub fn net_usage(&self) -> i64 {
        self.cells.iter().map(|(cell, sum)| value(cell, *sum, Measure::Credits)).fold(0, i64::saturating_add)
    }
}

/// What a cell adds to a measure. A refund takes credits back and is no call.
fn value(cell: &Cell, sum: CellSum, measure: Measure) -> i64 {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    match (cell.usage(), measure) {
        (1, Measure::Credits | Measure::Cost) => number(sum.credits.get()),
        (-1, Measure::Credits | Measure::Cost) => number(sum.credits.get()).saturating_neg(),
        (1, Measure::Calls) => number(sum.calls),
        (_, Measure::Credits | Measure::Calls | Measure::Cost) => 0,
    }
}

/// The usage of days that no rollup of a customer or member has: `days` without `named`. The slots are days of the month.
#[must_use]
pub fn without(days: &BTreeMap<NaiveDate, Rollup>, named: &[(Period, &Rollup)]) -> BTreeMap<Period, Rollup> {
    let mut rest: BTreeMap<Period, Rollup> = BTreeMap::new();
    for (day, rollup) in days {
        let slot = u8::try_from(day.day()).unwrap_or_default();
        let month = rest.entry(Period::of(midnight(*day))).or_default();
        for (cell, sum) in &rollup.cells {
            month.cells.entry(Cell { slot, ..cell.clone() }).or_default().add(*sum);
        }
    }
    for (month, rollup) in named {
        let Some(rest) = rest.get_mut(month) else { continue };
        for (cell, sum) in &rollup.cells {
            rest.subtract(cell, *sum);
        }
    }
    rest
}

/// The days that have an instant of `from` up to, but not including, `to`.
#[must_use]
pub fn days_of(from: DateTime<Utc>, to: DateTime<Utc>) -> RangeInclusive<NaiveDate> {
    let last = to.checked_sub_signed(TimeDelta::seconds(1)).unwrap_or(to);
    from.date_naive()..=last.date_naive()
}

#[cfg(test)]
#[path = "../tests/usage_series.rs"]
mod tests;
