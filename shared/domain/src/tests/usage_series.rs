//! Tests of series of usage.

use super::*;
use crate::{Credits, Direction, LotId, Operation, RollupLine, RollupLot, Source};

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn cell(slot: u8, operation: &str, direction: Direction, is_drawn: bool) -> Cell {
    let operation = Operation::try_from(operation.to_owned()).unwrap();
    let month = Period::of(instant("2024-01-15T00:00:00Z"));
    let lot = RollupLot { lot: LotId::Subscription(month), source: Source::Subscription };
    let line = RollupLine { operation, service: None, key: None, is_drawn };
    Cell { slot, line, lot: Some(lot), direction }
}

fn rollup(cells: &[(Cell, u64)]) -> Rollup {
    let sum = |credits: u64| CellSum { calls: 1, credits: Credits::try_from(credits).unwrap() };
    Rollup { cells: cells.iter().map(|(cell, credits)| (cell.clone(), sum(*credits))).collect() }
}

fn query<'a>(prices: &'a PriceList, granularity: Granularity, groups: &[Dimension]) -> UsageQuery<'a> {
    UsageQuery {
        from: instant("2024-01-15T00:00:00Z"),
        to: instant("2024-01-17T00:00:00Z"),
        granularity,
        groups: groups.to_vec(),
        filter: UsageFilter::default(),
        measure: Measure::Credits,
        top: 10,
        prices,
    }
}

/// A day with a debit, a hold with its capture, a refund, and a renewal.
fn day() -> Rollup {
    rollup(&[
        (cell(10, "aml.pep", Direction::Debit, false), 5),
        (cell(11, "credit.hold", Direction::Debit, false), 9),
        (cell(12, "kyt.wallet", Direction::Debit, true), 4),
        (cell(12, "credit.refund", Direction::Credit, true), 2),
        (cell(12, "credit.refund", Direction::Credit, false), 2),
        (cell(0, "credit.renewal", Direction::Credit, false), 100),
    ])
}

fn sum_of(query: UsageQuery<'_>) -> UsageSeries {
    let mut sum = UsageSum::new(query);
    sum.add_day("2024-01-15".parse().unwrap(), &UsageOwner::default(), &day());
    sum.series()
}

#[test]
fn usage_is_what_was_spent_less_what_was_refunded() {
    let prices = PriceList::default();
    let usage = sum_of(query(&prices, Granularity::Daily, &[Dimension::Operation]));
    let groups: Vec<_> =
        usage.series.iter().map(|one| (one.key[0].clone().unwrap(), one.points.clone())).collect();
    assert_eq!(
        groups,
        [
            ("aml.pep".to_owned(), vec![5, 0]),
            ("kyt.wallet".to_owned(), vec![4, 0]),
            ("credit.refund".to_owned(), vec![-2, 0])
        ]
    );
    assert_eq!((usage.total.total, usage.others.total, usage.others_count), (7, 0, 0));
    let calls = UsageQuery { measure: Measure::Calls, ..query(&prices, Granularity::Daily, &[]) };
    assert_eq!(sum_of(calls).total.points, [2, 0]);
}

#[test]
fn groups_beyond_the_first_are_others() {
    let prices = PriceList::default();
    let query = UsageQuery { top: 1, ..query(&prices, Granularity::Daily, &[Dimension::Operation]) };
    let usage = sum_of(query);
    assert_eq!((usage.series.len(), usage.others_count, usage.others.total), (1, 2, 2));
    assert_eq!(usage.total.points, [7, 0]);
}

#[test]
fn a_range_is_cut_into_points_without_a_gap() {
    let starts = |granularity: Granularity, from: &str, to: &str| {
        let points = granularity.points(instant(from), instant(to));
        points.iter().map(|at| at.format("%m-%dT%H").to_string()).collect::<Vec<_>>()
    };
    for (granularity, from, to, expected) in [
        (
            Granularity::Hourly,
            "2024-02-28T22:30:00Z",
            "2024-02-29T01:00:00Z",
            vec!["02-28T22", "02-28T23", "02-29T00"],
        ),
        (
            Granularity::Daily,
            "2024-02-28T22:30:00Z",
            "2024-03-01T00:00:01Z",
            vec!["02-28T00", "02-29T00", "03-01T00"],
        ),
        // The 1st of January 2024 is a Monday.
        (Granularity::Weekly, "2023-12-31T10:00:00Z", "2024-01-08T00:00:00Z", vec!["12-25T00", "01-01T00"]),
        (Granularity::Monthly, "2023-12-31T10:00:00Z", "2024-02-01T00:00:00Z", vec!["12-01T00", "01-01T00"]),
        (Granularity::Daily, "2024-02-28T00:00:00Z", "2024-02-28T00:00:00Z", vec![]),
    ] {
        assert_eq!(starts(granularity, from, to), expected, "{granularity:?}");
    }
}

#[test]
fn only_the_range_counts() {
    let prices = PriceList::default();
    let mut query = query(&prices, Granularity::Hourly, &[]);
    (query.from, query.to) = (instant("2024-01-15T11:00:00Z"), instant("2024-01-15T13:00:00Z"));
    assert_eq!(sum_of(query).total.points, [0, 2]);
    let days = days_of(instant("2024-01-15T11:00:00Z"), instant("2024-01-17T00:00:00Z"));
    assert_eq!(
        (days.start().to_string(), days.end().to_string()),
        ("2024-01-15".into(), "2024-01-16".into())
    );
}

#[test]
fn filters_admit_their_usage_alone() {
    let prices = PriceList::default();
    let with = |filter: UsageFilter| {
        sum_of(UsageQuery { filter, ..query(&prices, Granularity::Daily, &[]) }).total.total
    };
    let operation = Operation::try_from("aml.pep".to_owned()).ok();
    assert_eq!(with(UsageFilter { operation, ..UsageFilter::default() }), 5);
    assert_eq!(with(UsageFilter { source: Some(Source::Bonus), ..UsageFilter::default() }), 0);
    assert_eq!(with(UsageFilter { source: Some(Source::Subscription), ..UsageFilter::default() }), 7);
    assert_eq!(
        with(UsageFilter { category: Some(crate::UsageCategory::Refund), ..UsageFilter::default() }),
        -2
    );
    assert_eq!(
        with(UsageFilter { category: Some(crate::UsageCategory::Other), ..UsageFilter::default() }),
        9
    );
}

#[test]
fn what_no_customer_used_is_the_rest() {
    let prices = PriceList::default();
    let date: NaiveDate = "2024-01-15".parse().unwrap();
    let month = Period::of(midnight(date));
    // The customer has used one of two debits of the same kind.
    let days = BTreeMap::from([(date, rollup(&[(cell(10, "aml.pep", Direction::Debit, false), 5)]))]);
    let customers = rollup(&[(cell(15, "aml.pep", Direction::Debit, false), 3)]);
    let rest = without(&days, &[(month, &customers)]);
    let mut sum = UsageSum::new(query(&prices, Granularity::Daily, &[Dimension::Customer]));
    sum.add_month(month, &UsageOwner { customer: Some("c".to_owned()), member: None }, &customers);
    sum.add_month(month, &UsageOwner::default(), &rest[&month]);
    let usage = sum.series();
    let groups: Vec<_> = usage.series.iter().map(|one| (one.key[0].clone(), one.total)).collect();
    assert_eq!(groups, [(Some("c".to_owned()), 3), (None, 2)]);
    assert_eq!(usage.total.points, [5, 0]);
}

/// A rollup that was full has counted some operations as others.
#[test]
fn what_a_full_rollup_has_as_others_is_subtracted_too() {
    let date: NaiveDate = "2024-01-15".parse().unwrap();
    let month = Period::of(midnight(date));
    let debit = |slot, operation: &str| cell(slot, operation, Direction::Debit, false);
    for (of_day, of_customer) in [("other", "aml.pep"), ("aml.pep", "other"), ("aml.pep", "aml.pep")] {
        let days = rollup(&[(debit(10, of_day), 5), (debit(10, "kyt.wallet"), 4)]);
        let customers = rollup(&[(debit(15, of_customer), 7)]);
        let rest = without(&BTreeMap::from([(date, days)]), &[(month, &customers)]);
        let left: u64 = rest[&month].cells.values().map(|sum| sum.credits.get()).sum();
        assert_eq!(left, 2, "{of_day} {of_customer}");
    }
}
