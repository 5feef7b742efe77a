//! Tests of how returned credits are added to lots.

use super::restore::{refund, shares};
use super::*;

fn world(line: &str) -> Account {
    Account { used: credits(50), ..account(line) }
}

fn back(account: &Account, line: &str) -> Posting {
    back_on(account, line, Terms::default())
}

/// The same, with the terms of lot 700.
fn back_on(account: &Account, line: &str, terms: Terms) -> Posting {
    let mut shares = shares(line);
    let gone = shares.iter_mut().filter(|share| share.lot == LotId::Granted(id(700)));
    gone.for_each(|share| share.terms = terms);
    let request = Restore { shares, why: refund(), month: account.period };
    restore(account, &request, &attempt(900, at(NOW))).unwrap()
}

/// Promotions of one credit that expire on `count` days of February, before returned credits do.
fn ending_earlier(count: u32) -> String {
    let days: Vec<_> = (1..=count).map(|day| format!("bonus 1 until 2024-02-{day:02}")).collect();
    format!("sub 0, {}", days.join(", "))
}

/// Up to twelve lots, credits of a past month get a lot of their own. Beyond that they join a lot of their kind
/// that expires earlier, if there is one.
#[test]
fn returned_credits_use_few_lots() {
    let others: Vec<_> = (1..=12).map(|day| format!("bonus 1 api until 2024-04-{day:02}")).collect();
    for (line, expected) in [
        (ending_earlier(11), "lot900 3"),
        (ending_earlier(12), "lot13 3"),
        (format!("sub 0, {}", others.join(", ")), "lot900 3"),
    ] {
        assert_eq!(moves(&back(&world(&line), "old 3")), expected, "{line}");
    }
}

/// Returned credits expire on 15 February at 10:30. They join a lot that expires within the day before.
#[test]
fn returned_credits_join_those_of_the_same_day() {
    for (end, expected) in [
        ("2024-02-14T10:30:00Z", "lot900 3"),
        ("2024-02-14T10:30:01Z", "lot2 3"),
        ("2024-02-15T10:30:00Z", "lot2 3"),
        ("2024-02-15T10:30:01Z", "lot900 3"),
    ] {
        let mut before = world("sub 0, bonus 5");
        before.lots.get_mut(&id(2)).unwrap().expires_at = Some(at(end));
        assert_eq!(moves(&back(&before, "old 3")), expected, "{end}");
    }
}

/// An emptied lot does not count, and is used again when its own credits return.
#[test]
fn an_emptied_lot_makes_room() {
    let full: Vec<_> = (1..=15).map(|day| format!("bonus 1 api until 2024-04-{day:02}")).collect();
    let before = world(&format!("sub 0, bonus 0, {}", full.join(", ")));
    let elsewhere = back(&before, "lot700 3 purchased");
    assert_eq!(moves(&elsewhere), "lot700 3");
    let own = back(&before, "lot2 3");
    let effects: Vec<_> = own.effects.iter().filter(|effect| matches!(effect, Effect::Drop(_))).collect();
    assert_eq!((moves(&own), effects), ("lot2 3".to_owned(), vec![]));
    assert_eq!(before.apply(&own).unwrap().lots[&id(2)].left, credits(3));
}

/// A lot that was emptied, receives credits and makes room in one posting is removed once: the table refuses
/// two effects on one lot.
#[test]
fn a_lot_is_removed_once_in_a_posting() {
    let before = world(&format!("{}, bonus 0 api until 2024-04-05", ending_earlier(15)));
    let sooner = Terms { service: Some(Service::Api), expires_at: Some(at("2024-03-01T00:00:00Z")) };
    let posting = back_on(&before, "lot17 3, lot700 2", sooner);
    let drops = posting.effects.iter().filter(|effect| matches!(effect, Effect::Drop(lot) if *lot == id(17)));
    assert_eq!(drops.count(), 1, "{:?}", posting.effects);
    let after = before.apply(&posting).unwrap();
    assert_eq!((after.lots[&id(700)].left, after.lots[&id(700)].terms()), (credits(5), sooner));
}

/// Plain purchases and expired lots do not merge, so other lots make room.
#[test]
fn only_current_lots_of_one_kind_make_room() {
    let api = Terms { service: Some(Service::Api), expires_at: None };
    let promotions = ending_earlier(14);
    for (line, expected) in [
        (format!("{promotions}, purchased 1, purchased 1"), "lot3 1, lot2 1, lot700 3"),
        (
            format!("{promotions}, bonus 1 until 2024-01-10, bonus 1 until 2024-01-11"),
            "lot3 1, lot2 1, lot700 3",
        ),
    ] {
        assert_eq!(moves(&back_on(&world(&line), "lot700 3", api)), expected, "{line}");
    }
}

/// If no two lots are of the same kind, the oldest plain purchase makes room: it moves into the pool.
#[test]
fn the_oldest_plain_purchase_makes_room() {
    let services = ["smartcheck", "smartaccess", "smartenroll", "api", "biometric"];
    let of_each =
        |kind: &str, end: &str| services.map(|service| format!("{kind} 1 {service}{end}")).join(", ");
    let lots = format!(
        "sub 0, purchased 1, purchased 1, {}, {}, bonus 1, {}",
        of_each("bonus", ""),
        of_each("purchased", ""),
        ["purchased 1 smartcheck", "purchased 1 smartaccess", "purchased 1 smartenroll"]
            .map(|lot| format!("{lot} until 2024-04-05"))
            .join(", "),
    );
    let ends = Terms { service: Some(Service::Api), expires_at: Some(at("2024-04-05T00:00:00Z")) };
    let before = world(&lots);
    let mut with_pool = before.clone();
    let pool = Lot { source: Source::Purchased, left: credits(5), service: None, expires_at: None };
    with_pool.lots.insert(EntryId::FIRST, pool);
    for before in [before, with_pool] {
        let posting = back_on(&before, "lot700 3 purchased", ends);
        assert_eq!(moves(&posting), "lot2 1, pool 1, lot700 3");
    }
}

/// The pool keeps its credits when others are added, and is opened once for all credits of one refund.
#[test]
fn the_pool_adds_up() {
    let full = world(&format!("sub 0, {}", ["purchased 1"; LOTS_ALIKE_MAX].join(", ")));
    let pool = Lot { source: Source::Purchased, left: credits(5), service: None, expires_at: None };
    let mut with_pool = full.clone();
    with_pool.lots.insert(EntryId::FIRST, pool);
    for (before, came, expected, left) in [
        (&with_pool, "lot700 3 purchased", "pool 3", 8),
        (&full, "lot700 3 purchased", "pool 3", 3),
        (&full, "lot700 3 purchased, lot701 2 purchased", "pool 5", 5),
        (&with_pool, "lot700 3 purchased, lot701 2 purchased", "pool 5", 10),
    ] {
        let posting = back(before, came);
        assert_eq!(moves(&posting), expected, "{came}");
        assert_eq!(
            before.clone().apply(&posting).unwrap().lots[&EntryId::FIRST].left,
            credits(left),
            "{came}"
        );
    }
}

/// Credits that join a lot require it to exist: a concurrent debit may have removed it.
#[test]
fn a_joined_lot_must_exist() {
    let posting = back(&world("sub 0, bonus 5"), "lot2 3, lot2 1");
    let there = Guard::AtLeast(LotId::Granted(id(2)), Credits::ZERO);
    assert_eq!(posting.guards.iter().filter(|guard| **guard == there).count(), 1);
}
