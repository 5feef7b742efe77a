use proptest::prelude::*;

use super::*;

/// A purchase of nine credits into an account, and the account then.
fn bought(line: &str) -> (Account, Bought) {
    let before = account(line);
    let posting = super::grant::give(&before, "purchased", 9, 99);
    (before.apply(&posting).unwrap(), Bought::by(&posting.entry))
}

fn spend(account: &Account, amount: u64) -> Account {
    let operation = Operation::try_from("x".to_owned()).unwrap();
    let request = Consume { operation, amount: credits(amount), service: None };
    let posting = consume(account, &request, &head(100 + account.sequence, at(NOW))).unwrap();
    account.clone().apply(&posting).unwrap()
}

/// account before the purchase of nine; spent since; => set aside; after it was lost; after it was won
/// (contract, rule 10)
#[test]
fn a_dispute_sets_aside_takes_or_gives_back() {
    for (line, spent, aside, lost, won) in [
        ("", 0, 9, "0 left, 0 owed", "9 left, 0 owed"),
        ("", 4, 5, "0 left, 4 owed", "5 left, 0 owed"),
        ("", 9, 0, "0 left, 9 owed", "0 left, 0 owed"),
        // Another lot stays, whichever was bought first.
        ("purchased 3", 0, 9, "3 left, 0 owed", "12 left, 0 owed"),
        ("purchased 3", 5, 7, "0 left, 2 owed", "7 left, 0 owed"),
        // A part of what was bought has settled a debt.
        ("owed 4", 0, 5, "0 left, 4 owed", "5 left, 0 owed"),
        ("owed 9", 0, 0, "0 left, 9 owed", "0 left, 0 owed"),
        // Where it joined others, the disputed credits count as spent last.
        ("purchased 1, purchased 1, purchased 1, purchased 2", 4, 9, "1 left, 0 owed", "10 left, 0 owed"),
    ] {
        let (account, bought) = bought(line);
        let account = if spent > 0 { spend(&account, spent) } else { account };
        let opened = dispute_opened(&account, &bought, &head(200, at(NOW))).unwrap();
        assert_eq!(opened.entry.amount.get(), aside, "{line}, {spent}");
        let frozen = account.clone().apply(&opened).unwrap();
        let told = |account: Account| {
            let left: u64 = account.lots.values().map(|lot| lot.left.get()).sum();
            format!("{left} left, {} owed", account.post_paid.outstanding.get())
        };
        let after = dispute_lost(&frozen, &bought, &opened.entry, &head(201, at(NOW))).unwrap();
        assert_eq!(told(frozen.clone().apply(&after).unwrap()), lost, "{line}, {spent}");
        let after = dispute_won(&frozen, &opened.entry, &head(201, at(NOW))).unwrap();
        let thawed = frozen.apply(&after).unwrap();
        assert_eq!(told(thawed.clone()), won, "{line}, {spent}");
        // What is won back is the very lot.
        let standing = |account: Account| -> Vec<_> {
            account.lots.into_iter().filter(|(_, lot)| !lot.left.is_zero()).collect()
        };
        assert_eq!(standing(thawed), standing(account));
    }
}

proptest! {
    /// Whatever is spent before and during a dispute that is lost: what was bought is spent, taken back or
    /// owed, and nothing twice.
    #[test]
    fn a_lost_dispute_costs_what_was_bought(before in 0u64..=9, during in 0u64..=20) {
        let (account, bought) = bought("bonus 20");
        let account = spend(&account, before);
        let opened = dispute_opened(&account, &bought, &head(200, at(NOW))).unwrap();
        let frozen = account.apply(&opened).unwrap();
        let frozen = spend(&frozen, during);
        let lost = dispute_lost(&frozen, &bought, &opened.entry, &head(201, at(NOW))).unwrap();
        let after = frozen.apply(&lost).unwrap();
        let left: u64 = after.lots.values().map(|lot| lot.left.get()).sum();
        prop_assert_eq!(left, 20 - during);
        prop_assert_eq!(after.post_paid.outstanding.get(), before);
    }
}
