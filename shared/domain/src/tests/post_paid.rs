//! Tests of post-paid credits.

use super::*;

fn spend(line: &str, amount: u64) -> Result<Posting, Refusal> {
    let operation = Operation::try_from("x".to_owned()).unwrap();
    consume(
        &account(line),
        &Consume { operation, amount: credits(amount), service: None },
        &attempt(99, at(NOW)),
    )
}

/// account; debit => the lots that pay, or the refusal (contract, rule 9)
#[test]
fn credits_lacking_in_lots_are_spent_post_paid() {
    for (line, amount, expected) in [
        ("sub 5, limit 10", 5, "sub 5"),
        ("sub 5, limit 10", 6, "sub 5, owed 1"),
        ("sub 5, purchased 2, bonus 1, limit 10", 18, "sub 5, lot2 2, lot3 1, owed 10"),
        ("sub 5, limit 10", 16, "16 of 15"),
        ("limit 10, owed 10", 1, "1 of 0"),
        ("limit 10, owed 9", 1, "owed 1"),
        // A lost dispute left the outstanding credits above the limit.
        ("purchased 3, limit 10, owed 50", 3, "lot1 3"),
        ("purchased 3, limit 10, owed 50", 4, "4 of 3"),
        ("owed 5", 1, "1 of 0"),
        ("limit 10", 0, ""),
        ("unlimited, limit 10", 7, "unlimited 7"),
        ("sub 5, frozen", 1, "the organisation is frozen"),
        ("unlimited, frozen", 1, "the organisation is frozen"),
        // Lots of another service do not pay, and do not prevent post-paid debits.
        ("bonus 5 api, limit 10", 7, "owed 7"),
    ] {
        let summary = match spend(line, amount) {
            Ok(posting) => {
                assert!(account(line).apply(&posting).is_some(), "{line}: {amount}");
                moves(&posting)
            }
            Err(Refusal::InsufficientCredits { required, available, .. }) => {
                format!("{} of {}", required.get(), available.get())
            }
            Err(refusal) => refusal.to_string(),
        };
        assert!(
            summary.starts_with(expected) && expected.is_empty() == summary.is_empty(),
            "{line}: {amount}: {summary}"
        );
    }
}

/// Two debits decided on the same account are both written as long as the limit has room for both, and not
/// beyond it.
#[test]
fn concurrent_debits_share_the_post_paid_limit() {
    for (limit, both) in [("limit 10", true), ("limit 9", false)] {
        let first = spend(limit, 5).unwrap();
        let mut second = spend(limit, 5).unwrap();
        second.entry.id = id(100);
        let after = account(limit).apply(&first).unwrap();
        assert_eq!(after.post_paid.outstanding, credits(5));
        assert_eq!(after.apply(&second).is_some(), both, "{limit}");
    }
}

/// account; grant of purchased credits => the lots that receive them
#[test]
fn purchases_first_settle_outstanding_credits() {
    for (line, source, amount, expected) in [
        ("owed 4, limit 10", "purchased", 3, "owed 3"),
        ("owed 4, limit 10", "purchased", 4, "owed 4"),
        ("owed 4, limit 10", "purchased", 9, "owed 4, lot99 5"),
        ("owed 4", "purchased", 9, "owed 4, lot99 5"),
        ("owed 4", "bonus", 9, "lot99 9"),
        ("owed 4", "sub", 9, "sub 9"),
        ("purchased 1, purchased 1, purchased 1, purchased 1, owed 4", "purchased", 9, "owed 4, lot4 5"),
    ] {
        let before = account(line);
        let posting = super::grant::give(&before, source, amount, 99);
        assert_eq!(moves(&posting), expected, "{line}");
        let after = before.clone().apply(&posting).unwrap();
        let settled = posting.entry.moves.iter().filter(|part| part.source == Source::PostPaid);
        let settled: u64 = settled.map(|part| part.amount.get()).sum();
        assert_eq!(after.post_paid.outstanding.get() + settled, before.post_paid.outstanding.get(), "{line}");
        // A concurrent post-paid debit requires a new decision.
        let mut meanwhile = before.clone();
        meanwhile.post_paid.outstanding = credits(5);
        assert_eq!(meanwhile.apply(&posting).is_some(), source != "purchased", "{line}");
    }
}

/// account; adjustment => the lots that change, or the refusal
#[test]
fn adjustments_never_go_below_zero() {
    for (line, amount, source, expected) in [
        ("sub 5, purchased 3, bonus 2 api", -9, None, "sub 5, lot2 3, lot3 1"),
        ("sub 5, purchased 3", -9, None, "Not enough credits"),
        ("sub 5, purchased 3, limit 100", -9, None, "Not enough credits"),
        ("sub 5, purchased 3", -3, Some(Source::Purchased), "lot2 3"),
        ("sub 5, purchased 3", -4, Some(Source::Purchased), "Not enough credits"),
        ("sub 5, purchased 3", -5, Some(Source::Subscription), "sub 5"),
        ("unlimited, purchased 3", -5, Some(Source::Subscription), "Not enough credits"),
        ("sub 5, bonus 2 until 2024-01-15", -1, Some(Source::Bonus), "Not enough credits"),
        ("sub 5", 4, None, "lot99 4"),
        ("sub 5", 4, Some(Source::Subscription), "sub 4"),
        ("sub 5, owed 9", 4, Some(Source::Purchased), "owed 4"),
        ("sub 5, owed 9", 12, Some(Source::Purchased), "owed 9, lot99 3"),
        ("sub 5, owed 9", 4, Some(Source::Bonus), "lot99 4"),
        ("sub 5, owed 9", 4, Some(Source::PostPaid), "owed 4"),
        ("sub 5, owed 9", 9, Some(Source::PostPaid), "owed 9"),
        ("sub 5, owed 9", 10, Some(Source::PostPaid), "the amount is more than the 9 credits outstanding"),
        ("sub 5, owed 9", -1, Some(Source::PostPaid), "must be subscription, purchased or bonus"),
        // An operator can adjust a frozen account.
        ("sub 5, frozen", -5, None, "sub 5"),
    ] {
        let before = account(line);
        let direction = if amount < 0 { Direction::Debit } else { Direction::Credit };
        let amount = Amount::try_from(i64::unsigned_abs(amount)).unwrap();
        let summary = match adjust(&before, &Adjustment { direction, amount, source }, &attempt(99, at(NOW)))
        {
            Ok(posting) => {
                assert_eq!(posting.entry.operation.as_str(), "credit.adjustment");
                let after = before.clone().apply(&posting).unwrap();
                assert_eq!(after.used, before.used, "an adjustment is no usage");
                moves(&posting)
            }
            Err(refusal) => refusal.to_string(),
        };
        assert!(summary.starts_with(expected), "{line}: {summary}, not {expected}");
    }
}

/// A change of terms has an entry, and a debit decided before it requires a new decision.
#[test]
fn changes_of_terms_are_ledger_entries() {
    let before = account("sub 5, limit 10");
    let debit = spend("sub 5, limit 10", 15).unwrap();
    for (posting, operation) in [
        (set_limit(&before, credits(9), &attempt(98, at(NOW))), "account.post_paid"),
        (set_frozen(&before, true, &attempt(98, at(NOW))), "account.freeze"),
        (set_frozen(&before, false, &attempt(98, at(NOW))), "account.unfreeze"),
    ] {
        assert_eq!((posting.entry.operation.as_str(), posting.entry.amount), (operation, Credits::ZERO));
        let after = before.clone().apply(&posting).unwrap();
        assert_eq!(after.sequence, before.sequence + 1);
        assert!(after.apply(&debit).is_none(), "{operation}");
    }
}
