//! How fast a key spends: what counts, when a key is found, and what it is compared with.

use super::*;

/// The hour in which everything begins, at midnight.
const BEGIN: u32 = 473_016;

fn key(number: u128) -> KeyId {
    KeyId::new(at(NOW), number)
}

/// A key that has spent `each` credits in every hour of `hours` hours.
fn steady(each: u64, hours: u32) -> BurnRate {
    (1..hours).fold(BurnRate::first(each, BEGIN), |rate, hour| rate.after(each, BEGIN + hour))
}

/// Whether a key is found that has spent `each` credits an hour, and then `now` in one.
#[test]
fn a_key_is_found_that_spends_more_than_eight_times_its_busiest_hour() {
    const MONTH: u32 = 720;
    for (each, hours, now, expected) in [
        (100, MONTH, 800, false),
        (100, MONTH, 801, true),
        // Small keys have room.
        (1, MONTH, 200, false),
        (1, MONTH, 201, true),
        (25, MONTH, 200, false),
        // New keys are watched first.
        (100, 191, 1_000_000, false),
        (100, 192, 1_000_000, true),
    ] {
        let rate = steady(each, hours).after(now, BEGIN + hours);
        assert_eq!(rate.is_runaway(), expected, "{each} for {hours} hours, then {now}");
    }
    for (uses, expected) in [(5, false), (6, true)] {
        let rate = (1..uses).fold(BurnRate::first(1, BEGIN), |rate, day| rate.after(1, BEGIN + day * 48));
        assert_eq!(rate.after(10_000, BEGIN + 480).is_runaway(), expected, "used in {uses} hours");
    }
}

/// Half of what was busy is left after six weeks.
#[test]
fn what_was_busy_is_forgotten_slowly() {
    let busy = BurnRate { busiest: 1_000, ..steady(1, 720) };
    let left = |days: u32| busy.after(1, BEGIN + 719 + days * 24).busiest;
    assert_eq!([1, 7, 30, 44, 365, 40_000].map(left), [984, 892, 611, 484, 0, 0]);
}

/// What is announced once is what the key does from then on.
#[test]
fn a_key_is_found_once_a_day_and_learns() {
    let found = steady(100, 720).after(2_000, BEGIN + 720).found();
    assert!(!found.after(9_000_000, BEGIN + 720).is_runaway(), "in the same hour");
    assert!(!found.after(9_000_000, BEGIN + 743).is_runaway(), "in the day after");
    let next = found.after(2_000, BEGIN + 744);
    assert_eq!(next.busiest, 1_968);
    assert!(!next.is_runaway() && next.after(14_000, BEGIN + 744).is_runaway());
}

/// Transactions that arrive late, in any order and in any parts, add up to the same hour.
#[test]
fn what_comes_late_counts_in_the_present_hour() {
    let rate = steady(100, 720);
    let parts = [(300, BEGIN + 720), (200, BEGIN + 700), (200, 0), (101, BEGIN + 720)];
    let after = parts.into_iter().fold(rate, |rate, (spent, hour)| rate.after(spent, hour));
    assert_eq!(after, rate.after(801, BEGIN + 720));
    assert!(after.is_runaway());
}

/// A leak at 20 times of what a key spends in its busiest hour is found within an hour, whenever it begins; and one that
/// doubles every hour is found before it is that large.
#[test]
fn a_leak_does_not_hide_itself() {
    for each in [25, 100, 7_000] {
        for minute in 0..60_u32 {
            let mut rate = steady(each, 720);
            let (mut found, mut stolen) = (None, 0);
            for passed in 0..60 {
                let until = u64::from(passed + 1) * each * 20 / 60;
                rate = rate.after(until - stolen, BEGIN + 720 + (minute + passed) / 60);
                stolen = until;
                if rate.is_runaway() {
                    found = Some(passed);
                    break;
                }
            }
            assert!(found.is_some(), "{each} credits, from minute {minute} on");
        }
        let mut rate = steady(each, 720);
        let doubled = (1..9).position(|hour| {
            rate = rate.after(each << hour, BEGIN + 719 + hour);
            rate.is_runaway()
        });
        assert_eq!(doubled, Some(3), "16 times");
    }
}

#[test]
fn an_account_watches_the_keys_that_were_used_last() {
    let mut rates = BurnRates::default();
    let spend = |number: u128| KeySpending { key: key(number), credits: credits(1), at: at(NOW) };
    for number in (0..64).chain([0]).chain(64..80) {
        assert_eq!(rates.add(&spend(number)), None);
    }
    let known: Vec<_> = rates.rates().iter().map(|(tag, _)| u128::from(tag[5])).collect();
    assert_eq!(known, (17..64).chain([0]).chain(64..80).collect::<Vec<_>>());
    let found = (0..).find_map(|hour| {
        let at = at(NOW) + chrono::Duration::hours(hour);
        rates.add(&KeySpending { at, credits: credits(if hour < 200 { 30 } else { 300 }), ..spend(7) })
    });
    let hour = at("2024-01-23T18:00:00Z");
    assert_eq!(found, Some(RunawayKey { key: key(7), hour, spent: credits(300), busiest: credits(30) }));
}

/// A transaction => the credits that count.
#[test]
fn what_a_key_spends_is_what_budgets_count() {
    let debit = |operation: &str, details: Details| {
        let before = account("sub 50");
        let operation = Operation::try_from(operation.to_owned()).unwrap();
        let request = Consume { operation, amount: credits(3), service: None };
        let posting = consume(&before, &request, &attempt(99, at(NOW))).unwrap();
        before.apply(&posting).unwrap().receipts(details).remove(0)
    };
    let own = |operation: &'static str, receipt: Receipt| {
        let entry = Entry { operation: Operation::own(operation), ..receipt.entry.clone() };
        Receipt { entry, ..receipt }
    };
    let with_key = Details { key_id: Some(key(1)), ..Details::default() };
    let monitor = |made: &str| Details { monitor: Some(MonitorId::new(at(made), 1)), ..with_key.clone() };
    let by_operator = Details { super_admin: Some(key(1)), ..with_key.clone() };
    let paid = debit("aml.pep", with_key.clone());
    let credit = Entry { direction: Direction::Credit, ..paid.entry.clone() };
    for (what, receipt, expected) in [
        ("a debit", paid.clone(), Some(3)),
        ("a hold", own("credit.hold", paid.clone()), Some(3)),
        ("a capture", own("credit.capture", paid.clone()), None),
        ("a change of the plan", own("credit.plan_change", paid.clone()), None),
        ("a refund", Receipt { entry: credit, ..paid.clone() }, None),
        ("an operator's debit", debit("aml.pep", by_operator), None),
        ("without a key", debit("aml.pep", Details::default()), None),
        ("a new monitor", debit("aml.monitoring", monitor("2024-01-15T10:29:59Z")), Some(3)),
        ("its next month", debit("aml.monitoring", monitor("2023-12-31T23:59:59Z")), None),
    ] {
        let spending = KeySpending::of(&receipt);
        assert_eq!(spending.map(|spending| spending.credits.get()), expected, "{what}");
        assert!(spending.is_none_or(|spending| spending.key == key(1)), "{what}");
    }
}
