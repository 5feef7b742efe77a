//! The state of a lot, as its owner sees it.

use super::*;

/// left in the lot; held; of its ten credits expired; its end is past => status and used credits
#[test]
fn the_status_of_a_lot_follows_from_what_is_left_and_held() {
    use LotStatus::{Active, Expired, Spent};
    for (left, held, expired, has_ended, status, used) in [
        (10, Some(0), 0, false, Active, 0),
        (4, Some(1), 0, false, Active, 5),
        (4, None, 0, false, Active, 6),
        (0, Some(0), 0, false, Spent, 10),
        (0, None, 0, false, Spent, 10),
        // A hold still has credits of it.
        (0, Some(1), 0, false, Active, 9),
        // All were spent before the end.
        (0, Some(0), 0, true, Spent, 10),
        (0, Some(1), 0, true, Active, 9),
        // Some had expired at the end, or are not booked as expired yet.
        (0, Some(0), 3, true, Expired, 7),
        (0, Some(2), 3, true, Expired, 5),
        (3, Some(0), 0, true, Expired, 7),
    ] {
        let end = if has_ended { "2024-01-15" } else { "2024-01-20" };
        let account = account(&format!("bonus {left} until {end}"));
        let lot = account.lots[&id(1)].clone();
        let record = LotRecord {
            lot: LotId::Granted(id(1)),
            source: Source::Bonus,
            terms: lot.terms(),
            opened_at: at("2024-01-01T00:00:00Z"),
            transaction: id(1),
            amount: credits(10),
            expired: credits(expired),
            withdrawn: Credits::ZERO,
            moved: Credits::ZERO,
            cost: None,
        };
        let state = LotState::new(record, &account, held.map(credits), at(NOW));
        let context = format!("{left} left, {held:?} held, {expired} expired, {has_ended}");
        assert_eq!((state.status, state.used), (status, credits(used)), "{context}");
    }
}
