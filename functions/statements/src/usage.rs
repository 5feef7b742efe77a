//! What was used in a month, by operation, and what it cost.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    Account, Currency, Dimension, Granularity, Measure, Period, PriceList, Rollup, UsageFilter, UsageOwner,
    UsageQuery, UsageSum,
};
use scrip_http::{App, PricedUsage, price_usage};
use store::Unsettled;

use super::statement::{SignedMoney, UsageLine, UsageOfMonth, UsageSumView};

/// How many operations have a line of their own.
const LINES_MAX: usize = 200;

/// The rollups of a month's days.
pub(crate) type DayRollups = BTreeMap<NaiveDate, Rollup>;

/// Credits, calls and cost.
type Figures = [i64; 3];

/// The usage of a month.
///
/// # Errors
/// When a table does not answer.
pub(crate) async fn usage(
    app: &App,
    account: &Account,
    month: Period,
    days: &DayRollups,
    wall: DateTime<Utc>,
) -> Result<UsageOfMonth, Unsettled> {
    let catalogue = app.settings.catalogue(wall).await?;
    let sum = |measure| sum_of(measure, month, days, &catalogue.prices);
    let PricedUsage { usage: costs, currency, includes_list_prices, unpriced_credits } =
        price_usage(app, account, sum(Measure::Cost), wall).await?;
    let mut by_operation: BTreeMap<String, Figures> = BTreeMap::new();
    for (place, usage) in [sum(Measure::Credits), sum(Measure::Calls), costs].into_iter().enumerate() {
        for series in usage.series().series {
            let operation = series.key.into_iter().flatten().next().unwrap_or_default();
            if let Some(figure) = by_operation.entry(operation).or_default().get_mut(place) {
                *figure = series.total;
            }
        }
    }
    let total = added_up(by_operation.values());
    let mut lines: Vec<_> = by_operation.into_iter().collect();
    // Operations of equal usage stay in the order of their names.
    lines.sort_by_key(|(_, [credits, _, _])| std::cmp::Reverse(*credits));
    let others = lines.split_off(LINES_MAX.min(lines.len()));
    let view = |figures: Figures| view(figures, currency);
    Ok(UsageOfMonth {
        operations: lines
            .into_iter()
            .map(|(operation, figures)| UsageLine { operation, sum: view(figures) })
            .collect(),
        others: view(added_up(others.iter().map(|(_, figures)| figures))),
        total: view(total),
        includes_list_prices,
        unpriced_credits,
    })
}

fn sum_of<'a>(measure: Measure, month: Period, days: &DayRollups, prices: &'a PriceList) -> UsageSum<'a> {
    let mut sum = UsageSum::new(UsageQuery {
        from: month.start(),
        to: month.next().start(),
        granularity: Granularity::Monthly,
        groups: vec![Dimension::Operation],
        filter: UsageFilter::default(),
        measure,
        top: usize::MAX,
        prices,
    });
    for (day, rollup) in days {
        sum.add_day(*day, &UsageOwner::default(), rollup);
    }
    sum
}

fn added_up<'a>(lines: impl Iterator<Item = &'a Figures>) -> Figures {
    lines.fold([0; 3], |mut sum, line| {
        sum.iter_mut().zip(line).for_each(|(sum, part)| *sum = sum.saturating_add(*part));
        sum
    })
}

fn view([credits, calls, cost]: Figures, currency: Currency) -> UsageSumView {
    let cost = SignedMoney { amount: cost, currency: currency.code().to_owned() };
    UsageSumView { credits, calls, cost }
}
