//! Where credits go back to.

use super::*;

/// The shares of a debit, as `sub 5, lot1 3 purchased, owed 2`; `old 4` are subscription credits of the
/// month before.
fn shares(line: &str) -> Vec<Share> {
    let share = |words: &str| {
        let words: Vec<_> = words.split(' ').collect();
        let amount = credits(words[1].parse().unwrap());
        let january = account("").period;
        let (lot, source) = match words[0] {
            "sub" => (LotId::Subscription(january), Source::Subscription),
            "old" => (LotId::Subscription(january.previous()), Source::Subscription),
            "owed" => (LotId::PostPaid, Source::PostPaid),
            lot => {
                let number = lot.strip_prefix("lot").unwrap().parse().unwrap();
                let source =
                    if words.get(2) == Some(&"purchased") { Source::Purchased } else { Source::Bonus };
                (LotId::Granted(id(number)), source)
            }
        };
        Share { lot, source, amount }
    };
    line.split(", ").filter(|words| !words.is_empty()).map(share).collect()
}

fn refund() -> Why {
    Why::Refund { reason: Reason::TechnicalFailure, note: None, twin: None }
}

fn back(account: &Account, line: &str, why: Why, terms: &[(u64, Terms)]) -> Posting {
    let terms = terms.iter().map(|(number, terms)| (id(*number), *terms)).collect();
    let request = GiveBack { shares: shares(line), why, month: account.period, terms };
    give_back(account, &request, &head(900, at(NOW))).unwrap()
}

/// What an account holds, in the words of [`account`].
fn told(account: &Account) -> String {
    let mut words = vec![format!("sub {}", account.subscription.left.get())];
    for (id, lot) in &account.lots {
        let number = (id.time() - at("2024-01-01T00:00:00Z")).num_milliseconds();
        let service = lot.service.map(|service| format!(" {}", service_name(service))).unwrap_or_default();
        let end = lot.expires_at.map(|end| format!(" until {}", end.date_naive())).unwrap_or_default();
        words.push(format!("lot{number} {} {:?}{service}{end}", lot.left.get(), lot.source));
    }
    if !account.post_paid.outstanding.is_zero() {
        words.push(format!("owed {}", account.post_paid.outstanding.get()));
    }
    words.join(", ")
}

/// An account that has used 50 and holds 50, so that a refund and a release both have what to undo.
fn world(line: &str) -> Account {
    Account { used: credits(50), held: credits(50), ..account(line) }
}

#[test]
fn a_refund_goes_back_to_the_very_lots() {
    let scoped = Terms { service: Some(Service::Api), expires_at: Some(at("2024-01-20T00:00:00Z")) };
    let ended = Terms { service: None, expires_at: Some(at("2024-01-15T10:30:00Z")) };
    for (before, line, terms, after) in [
        ("sub 4, purchased 3", "lot2 2 purchased", None, "sub 4, lot2 5 Purchased"),
        // Emptied and forgotten: it stands again, on its terms.
        ("sub 0", "lot7 2 purchased", None, "sub 0, lot7 2 Purchased"),
        ("sub 0", "lot7 2", Some((7, scoped)), "sub 0, lot7 2 Bonus api until 2024-01-20"),
        // Ended meanwhile, with its month or by its own date: bonus credits that never expire.
        ("sub 0", "old 4", None, "sub 0, lot900 4 Bonus"),
        ("sub 0", "lot7 2", Some((7, ended)), "sub 0, lot900 2 Bonus"),
        (
            "sub 0, bonus 9 until 2024-01-15",
            "lot2 2",
            None,
            "sub 0, lot2 9 Bonus until 2024-01-15, lot900 2 Bonus",
        ),
        ("sub 0, bonus 1", "old 4", None, "sub 0, lot2 1 Bonus, lot900 4 Bonus"),
        // Spent on account: less is owed; what a purchase has settled is purchased.
        ("sub 0, owed 5", "owed 2", None, "sub 0, owed 3"),
        ("sub 0, owed 1", "owed 4", None, "sub 0, lot901 3 Purchased"),
        (
            "sub 1, owed 1",
            "old 1, lot3 1 purchased, owed 2",
            None,
            "sub 1, lot3 1 Purchased, lot900 1 Bonus, lot901 1 Purchased",
        ),
    ] {
        let before = world(before);
        let terms: Vec<_> = terms.into_iter().collect();
        let posting = back(&before, line, refund(), &terms);
        let after_ = before.apply(&posting).unwrap();
        // The place right after an id is another millisecond's in these names.
        assert_eq!(
            told(&after_)
                .replace("lot900 3 Purchased", "lot901 3 Purchased")
                .replace("lot900 1 Purchased", "lot901 1 Purchased"),
            after,
            "{line}"
        );
        let amount: u64 = shares(line).iter().map(|share| share.amount.get()).sum();
        assert_eq!(posting.entry.amount.get(), amount);
        assert_eq!((after_.used.get(), after_.held.get()), (50 - amount, 50), "{line}");
    }
}

#[test]
fn what_was_held_and_has_ended_is_gone() {
    for (before, line, after, expired) in [
        ("sub 4", "old 3", "sub 4", 3),
        ("sub 4, bonus 9 until 2024-01-15", "lot2 2", "sub 4, lot2 9 Bonus until 2024-01-15", 2),
        ("sub 4", "lot7 2 purchased", "sub 4, lot7 2 Purchased", 0),
    ] {
        let before = world(before);
        let posting = back(&before, line, Why::Release, &[]);
        let gone: u64 = posting
            .entry
            .moves
            .iter()
            .filter(|part| part.direction == Direction::Debit)
            .map(|part| part.amount.get())
            .sum();
        assert_eq!(gone, expired, "{line}");
        let after_ = before.apply(&posting).unwrap();
        assert_eq!(told(&after_), after, "{line}");
        assert_eq!((after_.used.get(), after_.held.get()), (50, 50 - posting.entry.amount.get()), "{line}");
    }
}

/// Rule 4: what is left of a month never exceeds its plan, also where the plan has become a smaller one
/// before a debit is refunded.
#[test]
fn a_refund_after_a_downgrade_makes_up_first_for_what_was_spent_beyond_the_plan() {
    for (over, amount, left, told) in
        [(0, 3, 3, "sub 3"), (5, 3, 0, "sub 3, sub 3"), (5, 8, 3, "sub 8, sub 5")]
    {
        let mut before = world("sub 0");
        before.subscription =
            Subscription { left: credits(0), granted: credits(10 + over), over: credits(over) };
        let posting = back(&before, &format!("sub {amount}"), refund(), &[]);
        assert_eq!(moves(&posting), told);
        let after = before.apply(&posting).unwrap();
        assert_eq!(after.subscription.left.get(), left, "over {over}, {amount} back");
        assert_eq!(after.subscription.spent().get(), 10 + over - amount);
    }
    let mut before = world("unlimited");
    before.subscription.granted = credits(9);
    let after = before.clone().apply(&back(&before, "sub 4", refund(), &[])).unwrap();
    assert_eq!(after.subscription, Subscription { granted: credits(5), ..Subscription::default() });
}

/// Where no lot has room, credits join their like, or come back on no terms: they always find a place.
#[test]
fn there_is_always_a_place() {
    let full: Vec<_> = (0..LOTS_MAX).map(|day| format!("bonus 1 until 2024-02-{:02}", day + 1)).collect();
    let before = world(&format!("sub 0, {}", full.join(", ")));
    for (terms, expected) in [
        // Alike: until the first of February, as the first of them.
        (Terms { service: None, expires_at: Some(at("2024-02-01T00:00:00Z")) }, "lot2 3"),
        (Terms { service: Some(Service::Api), expires_at: None }, "lot900 3"),
    ] {
        let posting = back(&before, "lot700 3", refund(), &[(700, terms)]);
        assert_eq!(moves(&posting), expected);
        assert!(before.clone().apply(&posting).is_some());
    }
    let posting = back(&before, "lot700 3 purchased", refund(), &[]);
    assert_eq!(moves(&posting), "lot700 3", "what was paid for has a place of its own");
}

/// Refunds undo what was taken last; captures spend what was taken first.
#[test]
fn a_pot_is_drawn_from_either_end() {
    let pot = Pot {
        of: id(1),
        rest: shares("sub 5, lot2 3, lot3 2"),
        ends: None,
        made: vec![],
        paged: 0,
        open: None,
        closed: false,
        revision: 0,
    };
    let told = |shares: Option<Vec<Share>>| {
        shares.map(|shares| shares.iter().map(|share| share.amount.get()).collect::<Vec<_>>())
    };
    for (amount, first, last) in [
        (0, Some(vec![]), Some(vec![])),
        (4, Some(vec![4]), Some(vec![2, 2])),
        (6, Some(vec![5, 1]), Some(vec![1, 3, 2])),
        (10, Some(vec![5, 3, 2]), Some(vec![5, 3, 2])),
        (11, None, None),
    ] {
        assert_eq!(told(pot.next(credits(amount), Order::First)), first, "{amount} from the first");
        assert_eq!(told(pot.next(credits(amount), Order::Last)), last, "{amount} from the last");
    }
    let two = pot.next(credits(4), Order::Last).unwrap();
    assert_eq!(two[0].lot, LotId::Granted(id(2)), "in the order in which they were taken");
}
