//! Tests of credits that return to their lots.

use super::*;

/// The shares of a debit, as `sub 5, lot1 3 purchased, owed 2`; `old 4` are subscription credits of the
/// previous month.
pub(super) fn shares(line: &str) -> Vec<Share> {
    let share = |words: &str| {
        let words: Vec<_> = words.split(' ').collect();
        let amount = credits(words[1].parse().unwrap());
        let january = account("").period;
        let (lot, source) = match words[0] {
            "sub" => (LotId::Subscription(january), Source::Subscription),
            "old" => (LotId::Subscription(january.previous()), Source::Subscription),
            "owed" => (LotId::PostPaid, Source::PostPaid),
            "pool" => (LotId::Granted(EntryId::FIRST), Source::Purchased),
            "unlimited" => (LotId::Unlimited(january), Source::Subscription),
            "unlimited-old" => (LotId::Unlimited(january.previous()), Source::Subscription),
            lot => {
                let number = lot.strip_prefix("lot").unwrap().parse().unwrap();
                let source =
                    if words.get(2) == Some(&"purchased") { Source::Purchased } else { Source::Bonus };
                (LotId::Granted(id(number)), source)
            }
        };
        Share { lot, source, amount, terms: Terms::default() }
    };
    line.split(", ").filter(|words| !words.is_empty()).map(share).collect()
}

pub(super) fn refund() -> DrawdownReason {
    DrawdownReason::Refund { reason: RefundReason::TechnicalFailure, note: None, twin: None }
}

fn back(account: &Account, line: &str, why: DrawdownReason, terms: &[(u64, Terms)]) -> Posting {
    let mut shares = shares(line);
    for (number, terms) in terms {
        let lot = LotId::Granted(id(*number));
        shares.iter_mut().filter(|share| share.lot == lot).for_each(|share| share.terms = *terms);
    }
    let request = Restore { shares, why, month: account.period };
    restore(account, &request, &attempt(900, at(NOW))).unwrap()
}

/// The credits of an account, in the words of [`account`].
fn summary(account: &Account) -> String {
    let mut words = vec![format!("sub {}", account.subscription.left.get())];
    for (id, lot) in &account.lots {
        let number = match *id {
            EntryId::FIRST => "pool".to_owned(),
            id => format!("lot{}", (id.time() - at("2024-01-01T00:00:00Z")).num_milliseconds()),
        };
        let service = lot.service.map(|service| format!(" {}", service_name(service))).unwrap_or_default();
        let end = lot.expires_at.map(|end| format!(" until {}", end.date_naive())).unwrap_or_default();
        words.push(format!("{number} {} {:?}{service}{end}", lot.left.get(), lot.source));
    }
    if !account.post_paid.outstanding.is_zero() {
        words.push(format!("owed {}", account.post_paid.outstanding.get()));
    }
    words.join(", ")
}

/// An account that has used 50 and holds 50 credits, so that both a refund and a release are possible.
fn world(line: &str) -> Account {
    Account { used: credits(50), held: credits(50), ..account(line) }
}

/// When no credits are left to return, nothing changes.
#[test]
fn returning_no_credits_changes_nothing() {
    for why in [refund(), DrawdownReason::Release, DrawdownReason::Expiry] {
        let before = world("sub 4");
        let request = Restore { shares: vec![], why, month: before.period };
        let posting = restore(&before, &request, &attempt(900, at(NOW))).unwrap();
        assert_eq!((posting.effects, posting.entry.amount), (vec![], Credits::ZERO));
    }
}

/// All lots together stay within the range of a balance. What an unlimited plan paid returns to none of them.
#[test]
fn returned_credits_keep_the_balance_in_range() {
    let most = Credits::MAX.get();
    for (left, line, fits) in
        [(most - 8, "lot2 3", true), (most - 7, "lot2 3", false), (most - 5, "unlimited 3", true)]
    {
        let before = Account { used: credits(50), ..account(&format!("sub 0, bonus {left} api, bonus 5")) };
        let request = Restore { shares: shares(line), why: refund(), month: before.period };
        let summary = restore(&before, &request, &attempt(900, at(NOW)));
        assert_eq!(summary.is_ok(), fits, "{left}: {line}");
        assert!(fits || summary == Err(Refusal::BalanceLimit));
    }
}

#[test]
fn a_refund_returns_credits_to_the_same_lots() {
    let scoped = Terms { service: Some(Service::Api), expires_at: Some(at("2024-01-20T00:00:00Z")) };
    let ended = Terms { service: None, expires_at: Some(at("2024-01-15T10:30:00Z")) };
    for (before, line, terms, after) in [
        ("sub 4, purchased 3", "lot2 2 purchased", None, "sub 4, lot2 5 Purchased"),
        // A lot that was emptied and removed is opened again with its terms.
        ("sub 0", "lot7 2 purchased", None, "sub 0, lot7 2 Purchased"),
        // Of four lots with the same terms, the youngest receives credits whose lot is gone.
        (
            "sub 0, bonus 1, bonus 1, bonus 1, bonus 1",
            "lot7 2",
            None,
            "sub 0, lot2 1 Bonus, lot3 1 Bonus, lot4 1 Bonus, lot5 3 Bonus",
        ),
        ("sub 0", "lot7 2", Some((7, scoped)), "sub 0, lot7 2 Bonus api until 2024-01-20"),
        // Expired in the meantime, with the month or the lot: bonus credits of the same service for 31 days.
        ("sub 0", "old 4", None, "sub 0, lot900 4 Bonus until 2024-02-15"),
        ("sub 0", "lot7 2", Some((7, ended)), "sub 0, lot900 2 Bonus until 2024-02-15"),
        (
            "sub 0",
            "lot7 2 purchased",
            Some((7, Terms { service: Some(Service::Api), ..ended })),
            "sub 0, lot900 2 Bonus api until 2024-02-15",
        ),
        (
            "sub 0, bonus 9 until 2024-01-15",
            "lot2 2",
            None,
            "sub 0, lot2 9 Bonus until 2024-01-15, lot900 2 Bonus until 2024-02-15",
        ),
        ("sub 0, bonus 1", "old 4", None, "sub 0, lot2 1 Bonus, lot900 4 Bonus until 2024-02-15"),
        // Of what an unlimited plan paid only the usage is returned.
        ("sub 0", "unlimited-old 4", None, "sub 0"),
        // Post-paid: outstanding credits are reduced; those that a purchase has settled are purchased credits.
        ("sub 0, owed 5", "owed 2", None, "sub 0, owed 3"),
        ("sub 0, owed 1", "owed 4", None, "sub 0, pool 3 Purchased"),
        // Returned purchased credits settle outstanding credits, like others.
        ("sub 0, owed 5", "lot3 3 purchased", None, "sub 0, owed 2"),
        ("sub 0, owed 1", "lot3 3 purchased", None, "sub 0, lot3 2 Purchased"),
        ("sub 0, owed 5", "lot3 3", None, "sub 0, lot3 3 Bonus, owed 5"),
        (
            "sub 1, owed 1",
            "old 1, lot3 1 purchased, owed 2",
            None,
            "sub 1, pool 2 Purchased, lot900 1 Bonus until 2024-02-15",
        ),
    ] {
        let before = world(before);
        let terms: Vec<_> = terms.into_iter().collect();
        let posting = back(&before, line, refund(), &terms);
        let after_ = before.apply(&posting).unwrap();
        assert_eq!(summary(&after_), after, "{line}");
        let amount: u64 = shares(line).iter().map(|share| share.amount.get()).sum();
        assert_eq!(posting.entry.amount.get(), amount);
        assert_eq!((after_.used.get(), after_.held.get()), (50 - amount, 50), "{line}");
    }
}

#[test]
fn held_credits_that_expired_are_lost() {
    for (before, line, after, expired) in [
        ("sub 4", "old 3", "sub 4", 3),
        ("sub 4, bonus 9 until 2024-01-15", "lot2 2", "sub 4, lot2 9 Bonus until 2024-01-15", 2),
        ("sub 4", "lot7 2 purchased", "sub 4, lot7 2 Purchased", 0),
    ] {
        let before = world(before);
        let posting = back(&before, line, DrawdownReason::Release, &[]);
        let gone: u64 = posting
            .entry
            .moves
            .iter()
            .filter(|part| part.direction == Direction::Debit)
            .map(|part| part.amount.get())
            .sum();
        assert_eq!(gone, expired, "{line}");
        let after_ = before.apply(&posting).unwrap();
        assert_eq!(summary(&after_), after, "{line}");
        assert_eq!((after_.used.get(), after_.held.get()), (50, 50 - posting.entry.amount.get()), "{line}");
    }
}

/// Rule 4: the credits left of a month never exceed its plan, even if the plan was downgraded before a debit is
/// refunded.
#[test]
fn a_refund_after_a_downgrade_first_makes_up_for_credits_spent_beyond_the_plan() {
    for (over, amount, left, summary) in
        [(0, 3, 3, "sub 3"), (5, 3, 0, "sub 3, sub 3"), (5, 8, 3, "sub 8, sub 5")]
    {
        let mut before = world("sub 0");
        before.subscription =
            SubscriptionCredits { granted: credits(10 + over), ..SubscriptionCredits::default() };
        let posting = back(&before, &format!("sub {amount}"), refund(), &[]);
        assert_eq!(moves(&posting), summary);
        let after = before.apply(&posting).unwrap();
        assert_eq!(after.subscription.left.get(), left, "over {over}, {amount} back");
        assert_eq!(after.subscription.spent().get(), 10 + over - amount);
    }
    let mut before = world("unlimited");
    before.subscription.granted = credits(9);
    let after = before.clone().apply(&back(&before, "sub 4", refund(), &[])).unwrap();
    assert_eq!(
        after.subscription,
        SubscriptionCredits { granted: credits(5), ..SubscriptionCredits::default() }
    );
}

/// When no lot is left, credits merge within a source and a service, towards the earlier expiry. account with
/// sixteen lots; returned credits => the lots that receive them
#[test]
fn returned_credits_always_find_a_lot() {
    let days = |kind: &str, from: usize, to: usize| {
        let lots = (from..=to).map(|day| format!("{kind} until 2024-02-{day:02}"));
        lots.collect::<Vec<_>>().join(", ")
    };
    let promotions = days("bonus 1", 3, 18);
    let until = |text: &str| Some(at(&format!("{text}T00:00:00Z")));
    let api = Some(Service::Api);
    for (line, came, terms, expected) in [
        // With the terms of one of them.
        (promotions.clone(), "lot700 3", Terms { service: None, expires_at: until("2024-02-04") }, "lot3 3"),
        // Between two of them, and after all: with the one that expires before.
        (promotions.clone(), "lot700 3", Terms { service: None, expires_at: until("2024-04-05") }, "lot17 3"),
        (promotions.clone(), "lot700 3", Terms::default(), "lot17 3"),
        // Before all of them: the first one takes its expiry.
        (
            promotions.clone(),
            "lot700 3",
            Terms { service: None, expires_at: until("2024-02-01") },
            "lot2 1, lot700 4",
        ),
        // There is no lot of its kind: two others merge.
        (
            promotions.clone(),
            "lot700 3",
            Terms { service: api, expires_at: None },
            "lot3 1, lot2 1, lot700 3",
        ),
        (
            format!("{}, purchased 5 api", days("bonus 1", 3, 17)),
            "lot700 3 purchased",
            Terms { service: api, expires_at: until("2024-03-01") },
            "lot3 1, lot2 1, lot700 3",
        ),
        // Plain purchased credits always have a lot.
        (promotions.clone(), "lot700 3 purchased", Terms::default(), "pool 3"),
        (
            "purchased 1, purchased 1, purchased 1, purchased 1".to_owned(),
            "lot700 3 purchased",
            Terms::default(),
            "pool 3",
        ),
        // Credits of a past month.
        (promotions.clone(), "old 3", Terms::default(), "lot14 3"),
        (days("bonus 1 api", 1, 16), "old 3", Terms::default(), "lot3 1, lot2 1, lot900 3"),
    ] {
        let before = world(&format!("sub 0, {line}"));
        let posting = back(&before, came, refund(), &[(700, terms)]);
        assert_eq!(moves(&posting), expected, "{line}: {came} {terms:?}");
        let after = before.clone().apply(&posting).unwrap();
        assert!(after.lots.len() <= LOTS_MAX + 1, "{}", summary(&after));
        assert_eq!(total(&after), total(&before) + 3, "{line}");
    }
}

fn total(account: &Account) -> u64 {
    account.lots.values().map(|lot| lot.left.get()).sum()
}

/// A debit of a past month, refunded credit by credit, day after day.
#[test]
fn repeated_returns_leave_lots_for_grants() {
    let mut account = world("sub 0, bonus 5 api until 2024-12-01");
    let (mut now, mut most) = (at(NOW), 0);
    for number in 0..200u64 {
        let request = Restore { shares: shares("old 1"), why: refund(), month: account.period.previous() };
        let attempt = Attempt { id: account.floor().next(), ..attempt(number, now) };
        let posting = restore(&account, &request, &attempt).unwrap();
        account = account.apply(&posting).unwrap();
        most = most.max(account.lots.len());
        assert_eq!(
            account.lots.values().filter(|lot| lot.service.is_none()).map(|lot| lot.left.get()).sum::<u64>(),
            number + 1
        );
        if number < 16 {
            assert_eq!(account.lots.len(), 2, "within a day they are one lot");
        } else {
            now += chrono::Duration::hours(3);
        }
    }
    assert!(most <= 13, "{most} lots");
    let granted = super::grant::give(&account, "bonus", 3, 5_000);
    assert!(account.apply(&granted).is_some());
}

/// account; shares; terms of lot7 => the account after a release
#[test]
fn a_release_keeps_terms_and_expired_credits_are_lost() {
    let until = |text: &str| Some(at(&format!("{text}T00:00:00Z")));
    for (terms, after) in [
        (Terms { service: None, expires_at: until("2024-04-05") }, "sub 0, lot7 6 Bonus until 2024-04-05"),
        (
            Terms { service: Some(Service::Smartcheck), expires_at: until("2024-04-05") },
            "sub 0, lot7 6 Bonus smartcheck until 2024-04-05",
        ),
        (Terms { service: None, expires_at: until("2024-01-10") }, "sub 0"),
    ] {
        let before = world("sub 0");
        let posting = back(&before, "lot7 6", DrawdownReason::Release, &[(7, terms)]);
        assert_eq!(summary(&before.apply(&posting).unwrap()), after);
    }
}

/// Regression: what an unlimited plan had paid was returned as bonus credits without an expiry.
#[test]
fn what_an_unlimited_plan_paid_never_returns_as_credits() {
    for why in [refund(), DrawdownReason::Release, DrawdownReason::Expiry] {
        for (line, share) in [
            ("unlimited", "unlimited 9"),
            ("sub 3", "unlimited 9"),
            ("sub 3", "unlimited-old 9"),
            ("unlimited", "unlimited-old 9"),
        ] {
            let mut before = world(line);
            before.subscription.granted = credits(9 + before.subscription.left.get());
            let posting = back(&before, share, why.clone(), &[]);
            let after = before.clone().apply(&posting).unwrap();
            assert_eq!(
                (total(&after), after.subscription.left),
                (0, before.subscription.left),
                "{line}, {share}"
            );
            // On a limited plan it stays spent: a change of plan must not return it.
            let unspent = if share == "unlimited 9" && line == "unlimited" { 9 } else { 0 };
            assert_eq!(after.subscription.spent().get(), 9 - unspent, "{line}, {share}");
        }
    }
}

/// On a limited plan, a refund of what an unlimited plan paid makes up for credits spent beyond the plan, and
/// for no more. Of a plan of ten, 17 were spent; refunded => spent then, beyond the plan then
#[test]
fn a_refund_of_an_unlimited_month_makes_up_for_credits_spent_beyond_the_plan() {
    for (amount, spent, beyond) in [(4, 13, 3), (7, 10, 0), (9, 10, 0)] {
        let mut before = world("sub 0");
        before.subscription.granted = credits(17);
        let posting = back(&before, &format!("unlimited {amount}"), refund(), &[]);
        let after = before.apply(&posting).unwrap();
        assert_eq!(
            (after.subscription.spent().get(), after.beyond_plan().get()),
            (spent, beyond),
            "{amount}"
        );
        assert_eq!((after.subscription.left.get(), total(&after)), (0, 0), "{amount}");
    }
}

/// Credits with two expiries that return together and share a lot: the entry has the lot's final expiry.
#[test]
fn merged_credits_have_the_terms_of_their_lot() {
    let promotions: Vec<_> = (1..=16).map(|day| format!("bonus 1 until 2024-02-{day:02}")).collect();
    let before = world(&format!("sub 0, {}", promotions.join(", ")));
    let api = |end: &str| Terms { service: Some(Service::Api), expires_at: Some(at(end)) };
    let (late, early) = (api("2024-04-05T00:00:00Z"), api("2024-03-01T00:00:00Z"));
    let posting = back(&before, "lot700 3, lot701 2", refund(), &[(700, late), (701, early)]);
    let part = posting.entry.moves.iter().find(|part| part.lot == LotId::Granted(id(700))).unwrap();
    assert_eq!((part.amount, part.terms), (credits(5), early));
    assert_eq!(before.apply(&posting).unwrap().lots[&id(700)].terms(), early);
}

/// The pool does not count as one of the sixteen lots.
#[test]
fn the_pool_does_not_count_as_a_lot() {
    let promotions: Vec<_> = (1..=15).map(|day| format!("bonus 1 until 2024-02-{day:02}")).collect();
    let mut before = world(&format!("sub 0, {}", promotions.join(", ")));
    let pool = Lot { source: Source::Purchased, left: credits(5), service: None, expires_at: None };
    before.lots.insert(EntryId::FIRST, pool);
    let api = Terms { service: Some(Service::Api), expires_at: None };
    let posting = back(&before, "lot700 3", refund(), &[(700, api)]);
    assert_eq!(moves(&posting), "lot700 3");
}
