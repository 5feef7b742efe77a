//! Tests of expiry notices.

use super::*;

/// The due notices and the time of the next check, as text.
fn summary(line: &str, days: u32, now: &str) -> String {
    let ends =
        account(line).ends(&AlertSettings { expiry_notice_days: days, ..AlertSettings::default() }, at(now));
    let lots: Vec<_> = ends.notices.iter().map(|(_, lot)| lot.left.get().to_string()).collect();
    let next = ends.next.map_or_else(|| "never".to_owned(), |next| next.format("%m-%dT%H:%M").to_string());
    format!("tell {}, look {next}", lots.join(" and "))
}

#[test]
fn notices_come_before_an_expiry_and_bookings_after() {
    let line = "sub 5, purchased 3, bonus 2 until 2024-01-20, bonus 4 smartcheck until 2024-02-05";
    for (days, now, expected) in [
        (7, "2024-01-10T00:00:00Z", "tell , look 01-13T00:00"),
        (7, "2024-01-13T00:00:00Z", "tell 2, look 01-20T00:01"),
        (7, "2024-01-19T23:59:59Z", "tell 2, look 01-20T00:01"),
        // It expires, and is booked a minute later.
        (7, "2024-01-20T00:00:00Z", "tell , look 01-20T00:01"),
        (30, "2024-01-10T00:00:00Z", "tell 2 and 4, look 01-20T00:01"),
        // Notices are switched off; expiries are booked nevertheless.
        (0, "2024-01-10T00:00:00Z", "tell , look 01-20T00:01"),
        (92, "2024-01-01T00:00:00Z", "tell 2 and 4, look 01-20T00:01"),
    ] {
        assert_eq!(summary(line, days, now), expected, "{days} {now}");
    }
    assert_eq!(summary("sub 5, purchased 3, bonus 9", 7, NOW), "tell , look never");
    // Spent credits do not expire.
    assert_eq!(summary("bonus 0 until 2024-01-20", 7, NOW), "tell , look never");
}

/// A row's balance, aged to a time before the next row, equals the account's.
#[test]
fn an_aged_balance_equals_the_accounts() {
    for line in [
        "sub 5, purchased 3",
        "bonus 2 until 2024-01-20, bonus 4 until 2024-01-20, bonus 8 until 2024-01-20, bonus 16 until 2024-01-20, \
         bonus 32 smartcheck until 2024-01-20, purchased 64 api until 2024-01-20, bonus 128 until 2024-01-21",
    ] {
        let account = account(line);
        let row = account.balance(at(NOW));
        for second in [-1, 0, 1, 30, 59] {
            let later = at("2024-01-20T00:00:00Z") + chrono::Duration::seconds(second);
            let (aged, known) = (row.clone().aged(later), account.balance(later));
            assert_eq!(
                (aged.purchased, aged.bonus, aged.available()),
                (known.purchased, known.bonus, known.available()),
                "{line} {later}"
            );
        }
    }
}

#[test]
fn a_balance_lists_the_next_three_expiries_and_all_with_the_first() {
    let count = |line: &str| account(line).balance(at(NOW)).expiring.len();
    assert_eq!(count("bonus 1 until 2024-01-20, bonus 2 until 2024-01-21"), 2);
    let days = (20..=29).map(|day| format!("bonus 1 until 2024-01-{day}")).collect::<Vec<_>>().join(", ");
    assert_eq!(count(&days), 3);
    let same = ["bonus 1 until 2024-01-20"; 5].join(", ");
    assert_eq!(count(&same), 5);
    assert_eq!(count(&format!("{same}, bonus 1 until 2024-01-21")), 5);
}
