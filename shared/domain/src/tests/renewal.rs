//! Tests of renewals and expiries.

use super::*;

#[test]
fn a_renewal_is_due_at_the_first_instant_of_a_month() {
    let account = account("sub 5, purchased 3");
    assert_eq!(due(&account, at("2024-01-31T23:59:59Z")), None);
    let renewal = due(&account, at("2024-02-01T00:00:00Z")).unwrap();
    let after = account.clone().apply(&renewal).unwrap();
    assert_eq!((after.subscription.left, after.used), (credits(10), Credits::ZERO));
    assert_eq!(after.lots, account.lots);
    assert_eq!(renewal.entry.at, at("2024-02-01T00:00:00Z"));
    assert_eq!(moves(&renewal), "sub 5, sub 10");
    // It is written once, whichever process writes it.
    assert_eq!(after.apply(&renewal), None);
}

#[test]
fn missed_months_are_renewed_one_by_one_without_a_windfall() {
    let mut account = account("sub 5");
    let now = at("2024-05-20T12:00:00Z");
    let mut months = Vec::new();
    while let Some(renewal) = due(&account, now) {
        months.push(renewal.entry.at.format("%m").to_string());
        account = account.apply(&renewal).unwrap();
    }
    assert_eq!(months, ["02", "03", "04", "05"]);
    assert_eq!(account.subscription.left, credits(10));
}

#[test]
fn all_processes_write_the_same_renewal() {
    let (one, other) = (account("sub 5"), account("sub 5, bonus 7"));
    let id_at = |account: &Account, now| due(account, at(now)).unwrap().entry.id;
    let first = id_at(&one, "2024-02-01T00:00:00Z");
    assert_eq!(first, id_at(&other, "2024-06-01T00:00:00Z"));
    let mut test = one.clone();
    test.id.mode = Mode::Test;
    assert_ne!(first, id_at(&test, "2024-02-01T00:00:00Z"));
    assert_eq!(Period::of(first.time()), Period::of(at("2024-02-01T00:00:00Z")));
}

/// A debit received in the old month that is decided on the account in the new month belongs entirely to the
/// new month.
#[test]
fn an_overtaken_debit_is_booked_in_the_month_that_pays() {
    let account = account("sub 5");
    let account = account.clone().apply(&due(&account, at("2024-02-01T00:00:00Z")).unwrap()).unwrap();
    let request = Consume {
        operation: Operation::try_from("x".to_owned()).unwrap(),
        amount: credits(2),
        service: None,
    };
    let posting = consume(&account, &request, &attempt(1, at("2024-01-31T23:59:59Z"))).unwrap();
    assert_eq!(posting.entry.at, at("2024-02-01T00:00:00Z"));
    assert_eq!(posting.entry.moves[0].lot, account.subscription_lot());
}

#[test]
fn a_balance_includes_what_is_due_and_not_written() {
    let account =
        account("sub 5, purchased 3, bonus 2 until 2024-01-20, bonus 4 smartcheck until 2024-02-05");
    let summary = |now: &str| {
        let balance = account.balance(at(now));
        let buckets = [balance.subscription, balance.purchased, balance.bonus].map(Credits::get);
        (
            buckets,
            balance.available().unwrap().get(),
            balance.expiring.len(),
            balance.next_renewal().to_rfc3339(),
        )
    };
    assert_eq!(summary("2024-01-19T23:59:59Z"), ([5, 3, 6], 14, 2, "2024-02-01T00:00:00+00:00".into()));
    assert_eq!(summary("2024-01-20T00:00:00Z"), ([5, 3, 4], 12, 1, "2024-02-01T00:00:00+00:00".into()));
    assert_eq!(summary("2024-01-31T23:59:59Z"), ([5, 3, 4], 12, 1, "2024-02-01T00:00:00+00:00".into()));
    assert_eq!(summary("2024-02-01T00:00:00Z"), ([10, 3, 4], 17, 1, "2024-03-01T00:00:00+00:00".into()));
    assert_eq!(summary("2024-02-05T00:00:00Z"), ([10, 3, 0], 13, 0, "2024-03-01T00:00:00+00:00".into()));
    assert_eq!(summary("2024-07-09T00:00:00Z"), ([10, 3, 0], 13, 0, "2024-08-01T00:00:00+00:00".into()));
}

#[test]
fn an_expiry_is_booked_after_requests_in_progress_have_ended() {
    let account = account("sub 5, bonus 2 until 2024-01-20, bonus 4 until 2024-01-18, purchased 3");
    assert_eq!(due(&account, at("2024-01-18T00:00:59Z")), None);
    let first = due(&account, at("2024-01-25T00:00:00Z")).unwrap();
    assert_eq!((moves(&first).as_str(), first.entry.operation.as_str()), ("lot3 4", "credit.expiry"));
    assert_eq!((first.entry.at, first.entry.direction), (at("2024-01-18T00:00:00Z"), Direction::Debit));
    let account = account.apply(&first).unwrap();
    assert_eq!(account.used, Credits::ZERO);
    let second = due(&account, at("2024-01-25T00:00:00Z")).unwrap();
    assert_eq!(moves(&second), "lot2 2");
    // A debit that was received before the expiry and is written before its booking requires a new decision of
    // the booking.
    let request = Consume {
        operation: Operation::try_from("x".to_owned()).unwrap(),
        amount: credits(8),
        service: None,
    };
    let late = consume(&account, &request, &attempt(1, at("2024-01-19T23:59:59Z"))).unwrap();
    assert_eq!(moves(&late), "sub 5, lot4 3");
    let account = account.apply(&second).unwrap();
    assert_eq!((due(&account, at("2024-01-25T00:00:00Z")), account.lots.len()), (None, 1));
}

#[test]
fn due_changes_are_written_in_order() {
    let mut account =
        account("sub 5, bonus 2 until 2024-02-10, bonus 4 until 2024-01-20, bonus 1 until 2024-02-01");
    let mut summary = Vec::new();
    while let Some(posting) = due(&account, at("2024-03-05T00:00:00Z")) {
        summary.push(format!("{} {}", posting.entry.at.format("%m-%d"), posting.entry.operation.as_str()));
        account = account.apply(&posting).unwrap();
    }
    let expected = [
        "01-20 credit.expiry",
        "02-01 credit.renewal",
        "02-01 credit.expiry",
        "02-10 credit.expiry",
        "03-01 credit.renewal",
    ];
    assert_eq!(summary, expected);
}

/// A lot whose expiry is booked at the instant of a renewal is booked after it.
#[test]
fn a_renewal_at_the_instant_of_an_expiry_comes_first() {
    for (end, expected) in
        [("2024-01-31T23:58:59Z", "credit.expiry"), ("2024-01-31T23:59:00Z", "credit.renewal")]
    {
        let mut before = account("sub 5, bonus 3");
        before.lots.get_mut(&id(2)).unwrap().expires_at = Some(at(end));
        let first = due(&before, at("2024-02-01T00:05:00Z")).unwrap();
        assert_eq!(first.entry.operation.as_str(), expected, "{end}");
    }
}
