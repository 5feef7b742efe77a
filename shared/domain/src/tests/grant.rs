//! Tests of grants.

use super::*;

pub(super) fn give(account: &Account, source: &str, amount: u64, number: u64) -> Posting {
    grant(account, &request(&format!("{source} {amount}")), &attempt(number, at(NOW))).unwrap()
}

/// A request in the words of [`account`].
pub(super) fn request(line: &str) -> Grant {
    let words: Vec<_> = line.split(' ').collect();
    let word = |name: &str| words.iter().position(|word| *word == name);
    Grant {
        source: match words[0] {
            "sub" => Source::Subscription,
            "purchased" => Source::Purchased,
            _ => Source::Bonus,
        },
        amount: Amount::try_from(words[1].parse::<u64>().unwrap()).unwrap(),
        service: Service::ALL.into_iter().find(|service| word(&service_name(*service)).is_some()),
        expires_at: word("until").map(|place| at(&format!("{}T00:00:00Z", words[place + 1]))),
        origin: GrantOrigin::Operator,
    }
}

/// account; grant => the lots that receive credits, or the refusal
#[test]
fn a_grant_opens_or_joins_a_lot_or_is_refused() {
    // Sixteen lots with sixteen terms: each expires on another day.
    let full: Vec<_> = (16..32).map(|day| format!("bonus 1 until 2024-03-{day}")).collect();
    let half_empty = full.join(", ").replacen("bonus 1", "bonus 0", 1);
    let full = full.join(", ");
    let four = ["purchased 1"; LOTS_ALIKE_MAX].join(", ");
    check(&[
        ("sub 5", "purchased 3", "lot99 3"),
        ("sub 5", "bonus 3 smartcheck until 2024-02-20", "lot99 3"),
        ("sub 5", "sub 3", "sub 3"),
        // Beyond a few lots with the same terms, credits join the youngest of them.
        ("purchased 1, purchased 1, purchased 1", "purchased 3", "lot99 3"),
        (&four, "purchased 3", "lot4 3"),
        (&four, "purchased 3 api", "lot99 3"),
        (&four, "bonus 3", "lot99 3"),
        // With the maximum number of lots, an account only accepts credits that join a lot, and plain
        // purchases.
        (&full, "bonus 3 until 2024-03-20", "lot5 3"),
        (&full, "bonus 3", "16 lots with other terms"),
        (&full, "purchased 3 api", "16 lots with other terms"),
        (&full, "purchased 3", "lot99 3"),
        (&half_empty, "bonus 3", "lot99 3"),
        // In the order of the refusals.
        (&full, "bonus 3 until 2024-01-15", "must be in the future"),
        ("", "bonus 3 until 2024-01-15", "must be in the future"),
        ("", "purchased 3 until 2024-01-20", "purchased credits can only expire"),
        ("", "purchased 3 api until 2024-01-20", "lot99 3"),
        ("", "sub 3 api", "subscription credits expire with their month"),
        ("", "sub 3 until 2024-01-20", "subscription credits expire with their month"),
        ("unlimited", "sub 3", "the plan is unlimited"),
        ("unlimited", "purchased 3", "lot99 3"),
        ("purchased 9007199254740991", "bonus 1", "the balance would exceed"),
        ("purchased 9007199254740990", "bonus 1", "lot99 1"),
    ]);
}

#[track_caller]
fn check(table: &[(&str, &str, &str)]) {
    for &(line, granted, expected) in table {
        let before = account(line);
        let summary = match grant(&before, &request(granted), &attempt(99, at(NOW))) {
            Ok(posting) => {
                assert!(before.clone().apply(&posting).is_some(), "{line}: {granted}");
                moves(&posting)
            }
            Err(refusal) => refusal.to_string(),
        };
        assert!(summary.contains(expected), "{line}: {granted}: {summary}, not {expected}");
    }
}

#[test]
fn extra_subscription_credits_expire_with_their_month() {
    let account = account("sub 5");
    let account = account.clone().apply(&give(&account, "sub", 3, 1)).unwrap();
    assert_eq!(
        account.subscription,
        SubscriptionCredits {
            left: credits(8),
            granted: credits(8),
            extras: Extras { left: credits(3), ..Extras::default() }
        }
    );
    let renewal = due(&account, at("2024-02-01T00:00:00Z")).unwrap();
    let account = account.apply(&renewal).unwrap();
    assert_eq!(
        account.subscription,
        SubscriptionCredits { left: credits(10), granted: credits(10), ..SubscriptionCredits::default() }
    );
}
