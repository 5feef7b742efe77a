//! Tests with a concurrent operation between decision and write, for every operation and every state.

use std::collections::{BTreeMap, BTreeSet};

use super::operations::{operations, states};
use super::*;

/// A posting that was decided on one state and is written on another equals the decision on that other state:
/// its guards name everything that it depends on. So whatever is written between, the result is that of the
/// operations in the order of their numbers.
#[test]
fn a_posting_lands_only_where_it_would_be_decided_again() {
    let operations = operations();
    let (mut landed, mut refused) = (0u32, 0u32);
    for (state, account) in states() {
        let attempt = |number: u64| Attempt { id: id(number), ..attempt(number, at(NOW)) };
        for rival in &operations {
            let Ok(between) = (rival.decide)(&account, &attempt(901)) else { continue };
            let Some(meanwhile) = account.clone().apply(&between) else { continue };
            for operation in &operations {
                let Ok(posting) = (operation.decide)(&account, &attempt(905)) else { continue };
                let Some(after) = meanwhile.clone().apply(&posting) else {
                    refused += 1;
                    continue;
                };
                landed += 1;
                let words = format!("{} after {} on `{state}`", operation.name, rival.name);
                let again = (operation.decide)(&meanwhile, &attempt(905));
                let again = again.unwrap_or_else(|refusal| panic!("{words}: landed, but {refusal}"));
                let orderly = meanwhile.clone().apply(&again).unwrap_or_else(|| panic!("{words}"));
                assert_eq!(essence(orderly), essence(after), "{words}");
            }
        }
    }
    eprintln!("{landed} landed and {refused} refused, of {} operations", operations.len());
    assert!(landed > 1_000 && refused > 1_000, "{landed} landed, {refused} refused");
}

/// What is written once more, because a layer below sent it twice, changes nothing.
#[test]
fn no_posting_lands_on_itself() {
    let mut postings = 0;
    for (state, account) in states() {
        let attempt = attempt(905, at(NOW));
        let decided = operations().into_iter().filter_map(|operation| {
            (operation.decide)(&account, &attempt).ok().map(|posting| (operation.name, posting))
        });
        let due = due(&account, at("2030-01-01T00:00:00Z")).map(|posting| ("due".to_owned(), posting));
        for (name, posting) in decided.chain(due) {
            let words = format!("{name} on `{state}`");
            let after = account.clone().apply(&posting).unwrap_or_else(|| panic!("{words}: does not apply"));
            assert_eq!(after.apply(&posting), None, "{words}");
            postings += 1;
        }
    }
    assert!(postings > 1_000, "{postings}");
}

/// An account without the fields that decisions do not depend on.
fn essence(mut account: Account) -> Account {
    account.lots.retain(|_, lot| !lot.left.is_zero());
    // A fence is written whatever the month is, so that an uncertain attempt is settled for good.
    if let Some(last) = account.last.as_mut().filter(|last| last.operation.as_str() == "ledger.fence") {
        last.at = at(NOW);
    }
    // The available credits of a refused batch item are those at the time of the decision.
    for part in account.last.iter_mut().flat_map(|last| &mut last.parts) {
        if let BatchOutcome::Short { available, .. } = part {
            *available = Credits::ZERO;
        }
    }
    account
}

/// On every state: the decided posting applies to the same state, keeps every number in range and every law,
/// and returned credits were taken before.
#[test]
fn every_decision_keeps_every_law() {
    for (state, account) in states() {
        for operation in operations() {
            let Ok(posting) = (operation.decide)(&account, &attempt(905, at(NOW))) else { continue };
            let words = format!("{} on `{state}`", operation.name);
            let after = account.clone().apply(&posting).unwrap_or_else(|| panic!("{words}: does not apply"));
            let owes = !after.post_paid.outstanding.is_zero();
            let owed_before = !account.post_paid.outstanding.is_zero();
            let settles = |account: &Account| {
                account.lots.values().any(|lot| lot.is_plain_purchase() && !lot.left.is_zero())
            };
            let was_so = owed_before && settles(&account);
            assert!(was_so || !(owes && settles(&after)), "{words}: owes beside what could settle it");
            assert!(after.subscription.left <= after.subscription.granted, "{words}");
            assert!(after.lots.len() <= LOTS_MAX + 2, "{words}: {} lots", after.lots.len());
            assert_moves_are_the_changes(&account, &posting, &after, &words);
            assert_sources_are_the_amount(&after, &words);
            for dispute in after.disputes.values() {
                assert!(dispute.aside <= dispute.most, "{words}: more is set aside than is disputed");
            }
        }
    }
}

/// The moves of a posting are exactly the changes of each lot; and no two effects change one lot, which the
/// table would refuse.
fn assert_moves_are_the_changes(before: &Account, posting: &Posting, after: &Account, words: &str) {
    let number = |credits: Credits| i128::from(credits.get());
    let holds = |account: &Account| {
        let lots = account.lots.iter().map(|(id, lot)| (LotId::Granted(*id), number(lot.left)));
        let aside = account.disputes.iter().map(|(id, known)| (LotId::Disputed(*id), number(known.aside)));
        let month = (account.subscription_lot(), number(account.subscription.left));
        let owed = (LotId::PostPaid, -number(account.post_paid.outstanding));
        lots.chain(aside).chain([month, owed]).collect::<BTreeMap<_, _>>()
    };
    let mut sums = holds(before);
    for part in posting.entry.moves.iter().filter(|part| !matches!(part.lot, LotId::Unlimited(_))) {
        *sums.entry(part.lot).or_default() += i128::from(part.direction.signed(part.amount));
    }
    let mut held = holds(after);
    sums.retain(|_, left| *left != 0);
    held.retain(|_, left| *left != 0);
    assert_eq!(sums, held, "{words}: its moves are not what changed: {posting:?}");
    let mut touched = BTreeSet::new();
    for effect in &posting.effects {
        let lot = if let Effect::Take(lot, _) | Effect::Give(lot, _) = effect {
            Some(*lot)
        } else if let Effect::Open(id, _) | Effect::Drop(id) = effect {
            Some(LotId::Granted(*id))
        } else {
            None
        };
        assert!(lot.is_none_or(|lot| touched.insert(lot)), "{words}: two effects on a lot: {posting:?}");
    }
}

/// The sources of a transaction add up to its amount, even if lots were merged for it. A lost dispute only
/// removes credits that were set aside when it was opened.
fn assert_sources_are_the_amount(after: &Account, words: &str) {
    for receipt in after.receipts(Details::default()) {
        let sources = receipt.sources();
        let is_lost = receipt.entry.operation.as_str() == "credit.dispute_lost";
        let was_aside = |part: &&Move| is_lost && matches!(part.lot, LotId::Disputed(_));
        let sum: u64 = sources.iter().filter(|part| !was_aside(part)).map(|part| part.amount.get()).sum();
        assert_eq!(sum, receipt.entry.amount.get(), "{words}: {sources:?} of {:?}", receipt.entry);
    }
}

/// The list contains an operation for each name that the rules give to entries.
#[test]
fn every_rule_is_in_the_list() {
    let mut made = BTreeSet::new();
    for (_, account) in states() {
        for operation in operations() {
            if let Ok(posting) = (operation.decide)(&account, &attempt(905, at(NOW))) {
                made.insert(posting.entry.operation.as_str().to_owned());
            }
        }
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut named = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|end| end == "rs") {
            let source = std::fs::read_to_string(path).unwrap();
            let words = source.split('"').skip(1).step_by(2);
            let is_own = |word: &&str| {
                let part = word
                    .strip_prefix("credit.")
                    .or(word.strip_prefix("account."))
                    .or(word.strip_prefix("ledger."));
                part.is_some_and(|part| {
                    !part.is_empty()
                        && part.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
                })
            };
            named.extend(words.filter(is_own).map(str::to_owned));
        }
    }
    // A repair is not a posting: it replaces the account's item as a whole.
    named.remove("account.repair");
    let missing: Vec<_> = named.difference(&made).collect();
    assert!(missing.is_empty(), "no operation of the list makes {missing:?}; add them to operations.rs");
}

/// effects => the counters that they increase, and their bounds
#[test]
fn every_increased_counter_has_a_bound() {
    let month = LotId::Subscription(account("").period);
    let lot = LotId::Granted(id(1));
    let most = Credits::MAX.less(credits(7)).unwrap();
    for (effect, counters) in [
        (Effect::Use(credits(7)), vec![Counter::Used]),
        (Effect::Hold(credits(7)), vec![Counter::Held]),
        (Effect::Owe(credits(7)), vec![Counter::Owed]),
        (Effect::Spend(credits(7)), vec![Counter::Granted]),
        (Effect::Give(month, credits(7)), vec![Counter::Left(month), Counter::Granted]),
        (Effect::Give(lot, credits(7)), vec![Counter::Left(lot)]),
        (Effect::Take(lot, credits(7)), vec![]),
        (Effect::Unuse(credits(7)), vec![]),
        (Effect::Unhold(credits(7)), vec![]),
        (Effect::Repay(credits(7)), vec![]),
    ] {
        let expected: Vec<_> = counters.into_iter().map(|counter| Bound { counter, at_most: most }).collect();
        assert_eq!(effect.bounds(), expected, "{effect:?}");
    }
}
