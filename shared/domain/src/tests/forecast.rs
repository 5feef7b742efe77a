//! Tests of the forecast: cases that can be checked by hand, and what holds for every series.

use chrono::NaiveDate;

use super::generated_usage::{Family, Random};
use super::*;

/// A Monday. The month has 17 days left.
const MONDAY: &str = "2024-01-15T00:00:00Z";

const MAX: i64 = 9_007_199_254_740_991;

fn request(now: &str, days: Vec<i64>, balance: u64) -> ForecastRequest<'static> {
    let parts = vec![FundsPart { credits: credits(balance), expires_at: None }];
    let funds = Funds { parts, allowance: Allowance::Monthly(Credits::ZERO), outstanding: Credits::ZERO };
    ForecastRequest { now: at(now), days, today: 0, funds, packages: &[] }
}

fn known(request: &ForecastRequest<'_>) -> UsageForecast {
    match Forecast::of(request) {
        Forecast::Known(forecast) => forecast,
        Forecast::NotEnoughData { days_known, .. } => panic!("{days_known} days are not enough"),
    }
}

/// The expected numbers: `used 140, month 310, runs out 2024-01-19, needs 120`.
fn summary(forecast: &UsageForecast) -> String {
    format!(
        "used {}, month {}, runs out {}, needs {}",
        forecast.used_so_far.get(),
        forecast.month_end.expected.get(),
        shown(forecast.runs_out.expected),
        forecast.needed.expected.get(),
    )
}

fn shown(day: Option<NaiveDate>) -> String {
    day.map_or("never".to_owned(), |day| day.to_string())
}

/// A week of weekdays with 20 credits each and a weekend without usage.
const WORKING_WEEK: [i64; 7] = [20, 20, 20, 20, 20, 0, 0];

/// now, days, today, balance => the expected numbers
#[test]
fn usage_goes_on_as_it_was() {
    let fortnight = "2024-01-15T00:00:00Z";
    for (now, days, today, balance, expected) in [
        // 10 a day: 14 days used, 17 to come, and five days' worth of credits.
        (fortnight, vec![10; 28], 0, 50, "used 140, month 310, runs out 2024-01-19, needs 120"),
        (fortnight, vec![10; 7], 0, 50, "used 70, month 240, runs out 2024-01-19, needs 120"),
        (fortnight, vec![10; 500], 0, 170, "used 140, month 310, runs out 2024-01-31, needs 0"),
        (fortnight, vec![10; 28], 0, 171, "used 140, month 310, runs out 2024-02-01, needs 0"),
        (fortnight, vec![10; 28], 0, 929, "used 140, month 310, runs out 2024-04-16, needs 0"),
        (fortnight, vec![10; 28], 0, 931, "used 140, month 310, runs out never, needs 0"),
        // Nothing is left now.
        (fortnight, vec![10; 28], 0, 0, "used 140, month 310, runs out 2024-01-15, needs 170"),
        // Half of today is to come, whatever its first half used.
        ("2024-01-15T12:00:00Z", vec![10; 28], 40, 5, "used 180, month 345, runs out 2024-01-15, needs 160"),
        // The last day, and its last second; the first instant of a month.
        ("2024-01-31T12:00:00Z", vec![10; 60], 5, 9, "used 305, month 310, runs out 2024-02-01, needs 0"),
        ("2024-01-31T23:59:59Z", vec![10; 60], 9, 9, "used 309, month 309, runs out 2024-02-01, needs 0"),
        ("2024-02-01T00:00:00Z", vec![10; 60], 0, 300, "used 0, month 290, runs out 2024-03-01, needs 0"),
        // 13 weekdays to come; 90 credits last from Monday to Friday.
        (MONDAY, WORKING_WEEK.repeat(8), 0, 90, "used 200, month 460, runs out 2024-01-19, needs 170"),
        // On Saturday morning, with 60 credits: Monday to Wednesday.
        (
            "2024-01-20T00:00:00Z",
            [&WORKING_WEEK[5..], &WORKING_WEEK.repeat(8)[..], &WORKING_WEEK[..5]].concat(),
            0,
            59,
            "used 300, month 460, runs out 2024-01-24, needs 101",
        ),
        // On Sundays only: two to come.
        (
            MONDAY,
            [0, 0, 0, 0, 0, 0, 70].repeat(8),
            0,
            71,
            "used 140, month 280, runs out 2024-01-28, needs 69",
        ),
        // No usage at all never takes anything.
        (fortnight, vec![0; 30], 0, 5, "used 0, month 0, runs out never, needs 0"),
    ] {
        let request = ForecastRequest { today, ..request(now, days, balance) };
        assert_eq!(summary(&known(&request)), expected, "{now} {balance}");
    }
}

#[test]
fn seven_days_are_needed_from_the_first_usage_on() {
    let not_enough = |days_known| Forecast::NotEnoughData { days_known, days_needed: 7 };
    for (days, expected) in [
        (vec![], 0),
        (vec![10; 6], 6),
        ([vec![0; 60], vec![10; 6]].concat(), 6),
        ([vec![0; 60], vec![10; 3], vec![0; 3]].concat(), 6),
        (vec![0; 6], 6),
    ] {
        assert_eq!(Forecast::of(&request(MONDAY, days, 5)), not_enough(expected));
    }
    for (days, expected, method) in [
        (vec![10; 7], 7, ForecastMethod::AssumedErrors),
        ([vec![0; 60], vec![10; 13]].concat(), 13, ForecastMethod::AssumedErrors),
        (vec![10; 14], 14, ForecastMethod::PastErrors),
        (vec![0; 7], 7, ForecastMethod::AssumedErrors),
        (vec![10; 365], 120, ForecastMethod::PastErrors),
    ] {
        let forecast = known(&request(MONDAY, days, 5));
        assert_eq!((forecast.days_known, forecast.method), (expected, method));
    }
}

/// Constant usage shows no error, so what is left of the band is the assumption that it may change, less with every
/// day.
#[test]
fn the_band_narrows_with_every_week_of_constant_usage() {
    let bands = [7, 14, 28, 120].map(|days| {
        let forecast = known(&request(MONDAY, vec![10; days], 50));
        let Estimate { low, high, .. } = forecast.month_end;
        let RunOut { earliest, latest, .. } = forecast.runs_out;
        format!("{}-{}, {} to {}", low.get(), high.get(), shown(earliest), shown(latest))
    });
    let expected = [
        "200-285, 2024-01-18 to 2024-01-21",
        "287-335, 2024-01-19 to 2024-01-20",
        "303-317, 2024-01-19 to 2024-01-20",
        "308-312, 2024-01-19 to 2024-01-20",
    ];
    assert_eq!(bands, expected);
}

/// Subscription credits left, other credits, allowance => the day on which the balance runs out, at 10 credits a day
/// from the 15th on; the month has 17 days left.
#[test]
fn a_renewal_takes_what_is_left_and_brings_the_allowance() {
    let month_end = Some(at("2024-02-01T00:00:00Z"));
    for (subscription, other, allowance, expected) in [
        (100, 0, 200, "2024-01-24"),
        // 30 of them expire; the allowance lasts 20 days of February.
        (200, 0, 200, "2024-02-20"),
        // 30 purchased credits are left at the month's turn, and are spent after the allowance.
        (100, 100, 200, "2024-02-23"),
        (200, 30, 200, "2024-02-23"),
        // 29 days of February, 31 of March, 15 of April.
        (200, 0, 289, "2024-02-29"),
        (200, 0, 310, "2024-03-31"),
        (200, 0, 311, "never"),
        // The balance runs out first and is renewed later.
        (169, 0, 500, "2024-01-31"),
    ] {
        let mut request = request(MONDAY, vec![10; 28], other);
        request.funds.parts.insert(0, FundsPart { credits: credits(subscription), expires_at: month_end });
        request.funds.allowance = Allowance::Monthly(credits(allowance));
        let runs_out = shown(known(&request).runs_out.expected);
        assert_eq!(runs_out, expected, "{subscription} {other} {allowance}");
    }
    // On the first day the month's allowance is there already.
    for (now, expected) in [("2024-02-01T00:00:00Z", "2024-02-05"), ("2024-02-01T12:00:00Z", "2024-02-06")] {
        let mut request = request(now, vec![10; 28], 50);
        request.funds.allowance = Allowance::Monthly(credits(100));
        assert_eq!(shown(known(&request).runs_out.expected), expected, "{now}");
    }
}

#[test]
fn credits_that_expire_count_until_then() {
    for (expires_at, expected) in [
        (None, "used 140, month 310, runs out 2024-01-29, needs 20"),
        (Some("2024-01-29T00:00:00Z"), "used 140, month 310, runs out 2024-01-29, needs 20"),
        // Used until the end of the day on which they expire.
        (Some("2024-01-18T12:00:00Z"), "used 140, month 310, runs out 2024-01-23, needs 80"),
        (Some("2024-01-15T00:00:00Z"), "used 140, month 310, runs out 2024-01-19, needs 120"),
    ] {
        let mut request = request(MONDAY, vec![10; 28], 50);
        request.funds.parts.insert(0, FundsPart { credits: credits(100), expires_at: expires_at.map(at) });
        assert_eq!(summary(&known(&request)), expected, "{expires_at:?}");
    }
}

#[test]
fn an_unlimited_plan_lacks_nothing() {
    let mut request = request(MONDAY, vec![10; 28], 0);
    request.funds.allowance = Allowance::Unlimited;
    let forecast = known(&request);
    assert_eq!(summary(&forecast), "used 140, month 310, runs out never, needs 0");
    assert_eq!((forecast.needed.high, forecast.package), (Credits::ZERO, None));
}

/// yesterday's net usage, today's => the expected numbers, after 27 days of 10 credits
#[test]
fn refunds_lower_what_was_used() {
    for (yesterday, today, expected) in
        [(-35, 0, "used 95"), (10, -15, "used 125"), (-500, 0, "used 0"), (10, -500, "used 0")]
    {
        let days = [vec![10; 27], vec![yesterday]].concat();
        let forecast = known(&ForecastRequest { today, ..request(MONDAY, days, 50) });
        let used = i64::try_from(forecast.used_so_far.get()).unwrap();
        assert_eq!(format!("used {used}"), expected, "{yesterday} {today}");
        // What is expected is never below zero, also after more refunds than usage.
        assert!(forecast.month_end.low <= forecast.month_end.expected);
    }
    let refunded = known(&request(MONDAY, [vec![10; 28], vec![-1000]].concat(), 50));
    assert_eq!(summary(&refunded), "used 0, month 0, runs out never, needs 0");
}

#[test]
fn large_numbers_stay_within_their_range() {
    for days in [
        vec![MAX; 120],
        vec![i64::MAX; 120],
        vec![i64::MIN; 120],
        [[MAX, 0, 0].repeat(9), vec![MAX]].concat(),
    ] {
        for today in [i64::MIN, 0, MAX, i64::MAX] {
            let mut request = ForecastRequest { today, ..request(MONDAY, days.clone(), MAX.cast_unsigned()) };
            request.funds.parts.extend([request.funds.parts[0]; 20]);
            request.funds.outstanding = Credits::MAX;
            let forecast = known(&request);
            assert!(forecast.month_end.low <= forecast.month_end.high);
        }
    }
    let forecast = known(&request(MONDAY, vec![MAX; 120], MAX.cast_unsigned() / 2));
    assert_eq!(forecast.month_end.expected, Credits::MAX);
    assert_eq!(shown(forecast.runs_out.expected), "2024-01-15");
}

fn package(name: &str, size: u64, pence: u64) -> Package {
    Package {
        package: PackageId(name.into()),
        version: 1,
        name: name.into(),
        credits: Amount::try_from(size).unwrap(),
        price: Money::new(pence, Currency::GBP).unwrap(),
        service: None,
        withdrawn: false,
        effective_from: at("2024-01-01T00:00:00Z"),
    }
}

/// balance, outstanding credits => the package that covers what high usage lacks
#[test]
fn the_smallest_package_that_covers_the_month_is_suggested() {
    let all = [
        package("dear", 100, 9_900),
        package("starter", 100, 4_900),
        package("growth", 500, 19_900),
        package("large", 500, 21_900),
    ];
    let all: Vec<&Package> = all.iter().collect();
    for (usage, balance, outstanding, expected) in [
        // 170 credits are expected until the month's end.
        (10, 300, 0, None),
        (10, 100, 0, Some(("starter", 1))),
        (10, 50, 0, Some(("growth", 1))),
        (10, 0, 0, Some(("growth", 1))),
        // A purchase settles what is outstanding first.
        (10, 0, 450, Some(("growth", 2))),
        (10, 300, 450, Some(("growth", 1))),
        // None is large enough: as many as needed of the largest, the cheaper one of two.
        (100, 0, 0, Some(("growth", 4))),
    ] {
        let mut request = ForecastRequest { packages: &all, ..request(MONDAY, vec![usage; 120], balance) };
        request.funds.outstanding = credits(outstanding);
        let forecast = known(&request);
        let suggested = forecast.package.as_ref();
        let suggested = suggested.map(|found| (found.package.0.as_str(), found.quantity));
        assert_eq!(suggested, expected, "{usage} {balance} {outstanding} {:?}", forecast.needed);
    }
    assert_eq!(known(&request(MONDAY, vec![10; 120], 0)).package, None, "nothing is on sale");
}

/// account, now => parts
#[test]
fn an_account_can_spend_what_a_debit_without_a_service_can() {
    for (line, now, expected) in [
        ("", NOW, "0 until 2024-02-01"),
        ("sub 7, bonus 2, purchased 3", NOW, "7 until 2024-02-01, 3, 2"),
        (
            "sub 7, purchased 3 until 2024-03-01, purchased 4, purchased 5 smartcheck",
            NOW,
            "7 until 2024-02-01, 3 until 2024-03-01, 4",
        ),
        ("sub 7, bonus 2 until 2024-01-15", NOW, "7 until 2024-02-01"),
        // The renewal is due: the allowance is 10.
        ("sub 7, purchased 3", "2024-02-01T00:00:00Z", "10 until 2024-03-01, 3"),
        ("purchased 3", "2024-04-30T00:00:00Z", "10 until 2024-05-01, 3"),
        // A clock that is behind the last renewal.
        ("sub 7", "2023-12-31T23:59:59Z", "7 until 2024-02-01"),
    ] {
        let mut account = account(line);
        account.period = Period::of(at(NOW));
        account.post_paid.outstanding = credits(4);
        let funds = Funds::of(&account, at(now));
        let parts = funds.parts.iter().map(|part| match part.expires_at {
            Some(end) => format!("{} until {}", part.credits.get(), end.date_naive()),
            None => part.credits.get().to_string(),
        });
        assert_eq!(parts.collect::<Vec<_>>().join(", "), expected, "{line}");
        assert_eq!((funds.allowance, funds.outstanding), (account.allowance, credits(4)));
    }
}

/// Whatever the series: the ends of a band are in order, more balance lasts longer, and the same input gives the same
/// forecast.
#[test]
fn bands_are_in_order() {
    let order = |day: Option<NaiveDate>| day.unwrap_or(NaiveDate::MAX);
    for (number, family) in (0..).zip(Family::ALL.into_iter().cycle()).take(80) {
        let mut random = Random(number);
        let series = family.series(&mut random);
        let days = series[..random.whole(7, 130)].to_vec();
        let now = format!("2024-01-{:02}T{:02}:30:00Z", random.whole(1, 31), random.whole(0, 23));
        let balance = u64::try_from(days.iter().sum::<i64>()).unwrap();
        let request = |balance| request(&now, days.clone(), balance);
        let forecast = known(&request(balance / 2));
        let Estimate { expected, low, high } = forecast.month_end;
        assert!(forecast.used_so_far <= low && low <= expected && expected <= high, "{forecast:?}");
        assert!(forecast.needed.expected <= forecast.needed.high, "{forecast:?}");
        let RunOut { expected, earliest, latest } = forecast.runs_out;
        assert!(order(earliest) <= order(expected) && order(expected) <= order(latest), "{forecast:?}");
        assert!(order(expected) <= order(known(&request(balance)).runs_out.expected));
        assert_eq!(known(&request(balance / 2)), forecast);
    }
}
