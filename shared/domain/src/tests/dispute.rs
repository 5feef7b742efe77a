//! Tests of disputes.

use proptest::prelude::*;

use super::*;

/// An account after a purchase of nine credits.
fn bought(line: &str) -> (Account, PurchasedCredits) {
    let before = account(line);
    let posting = super::grant::give(&before, "purchased", 9, 99);
    (before.apply(&posting).unwrap(), PurchasedCredits::by(&posting.entry))
}

fn spend(account: &Account, amount: u64) -> Account {
    let operation = Operation::try_from("x".to_owned()).unwrap();
    let request = Consume { operation, amount: credits(amount), service: None };
    let posting = consume(account, &request, &attempt(100 + account.sequence, at(NOW))).unwrap();
    account.clone().apply(&posting).unwrap()
}

/// account before the purchase of nine; spent since => set aside; after a lost dispute; after a won dispute
/// (contract, rule 10)
#[test]
fn a_dispute_sets_credits_aside_and_takes_or_returns_them() {
    for (line, spent, aside, lost, won) in [
        ("", 0, 9, "0 left, 0 owed", "9 left, 0 owed"),
        ("", 4, 5, "0 left, 4 owed", "5 left, 0 owed"),
        ("", 9, 0, "0 left, 9 owed", "0 left, 0 owed"),
        // Other lots stay, whichever was bought first.
        ("purchased 3", 0, 9, "3 left, 0 owed", "12 left, 0 owed"),
        ("purchased 3", 5, 7, "0 left, 2 owed", "7 left, 0 owed"),
        // A part of the purchase has settled outstanding credits.
        ("owed 4", 0, 5, "0 left, 4 owed", "5 left, 0 owed"),
        ("owed 9", 0, 0, "0 left, 9 owed", "0 left, 0 owed"),
        // In a joined lot the disputed credits count as spent last.
        ("purchased 1, purchased 1, purchased 1, purchased 2", 4, 9, "1 left, 0 owed", "10 left, 0 owed"),
    ] {
        let (account, bought) = bought(line);
        let account = if spent > 0 { spend(&account, spent) } else { account };
        let opened = dispute_opened(&account, &bought, &attempt(200, at(NOW))).unwrap();
        assert_eq!(opened.entry.amount.get(), aside, "{line}, {spent}");
        let frozen = account.clone().apply(&opened).unwrap();
        let summary = |account: Account| {
            let left: u64 = account.lots.values().map(|lot| lot.left.get()).sum();
            format!("{left} left, {} owed", account.post_paid.outstanding.get())
        };
        let after = dispute_lost(&frozen, &bought, &opened.entry, &attempt(201, at(NOW))).unwrap();
        assert_eq!(summary(frozen.clone().apply(&after).unwrap()), lost, "{line}, {spent}");
        let after = dispute_won(&frozen, &bought, &opened.entry, &attempt(201, at(NOW))).unwrap();
        let thawed = frozen.apply(&after).unwrap();
        assert_eq!(summary(thawed.clone()), won, "{line}, {spent}");
        // A won dispute restores the same lot.
        let status = |account: Account| -> Vec<_> {
            account.lots.into_iter().filter(|(_, lot)| !lot.left.is_zero()).collect()
        };
        assert_eq!(status(thawed), status(account));
    }
}

proptest! {
    /// Whatever is spent before and during a lost dispute: the bought credits are spent, taken back or
    /// outstanding, each once.
    #[test]
    fn a_lost_dispute_costs_the_bought_credits(before in 0u64..=9, during in 0u64..=20) {
        let (account, bought) = bought("bonus 20");
        let account = spend(&account, before);
        let opened = dispute_opened(&account, &bought, &attempt(200, at(NOW))).unwrap();
        let frozen = account.apply(&opened).unwrap();
        let frozen = spend(&frozen, during);
        let lost = dispute_lost(&frozen, &bought, &opened.entry, &attempt(201, at(NOW))).unwrap();
        let after = frozen.apply(&lost).unwrap();
        let left: u64 = after.lots.values().map(|lot| lot.left.get()).sum();
        prop_assert_eq!(left, 20 - during);
        prop_assert_eq!(after.post_paid.outstanding.get(), before);
    }
}

/// Returned credits, and what is left of the disputed purchase: lots before; shares => in dispute, left
/// elsewhere
#[test]
fn a_dispute_includes_the_pool_and_settled_credits() {
    let pool = Lot { source: Source::Purchased, left: credits(5), service: None, expires_at: None };
    let mut before = account("sub 0, purchased 3");
    before.lots.insert(EntryId::FIRST, pool);
    let bought =
        PurchasedCredits { credits: credits(9), lot: Some((id(2), credits(9))), terms: Terms::default() };
    let opened = dispute_opened(&before, &bought, &attempt(200, at(NOW))).unwrap();
    assert_eq!((opened.entry.amount, moves(&opened).as_str()), (credits(8), "lot2 3, pool 5, disputed 8"));
    // Of a purchase that settled outstanding credits, refunds of these are set aside, up to the purchase.
    for (lot, share, aside, left) in [
        (None, "owed 4", 4, 0),
        (None, "owed 12", 9, 3),
        (Some((id(2), credits(5))), "owed 4", 4, 0),
        (Some((id(2), credits(5))), "lot2 6 purchased", 6, 0),
        (Some((id(2), credits(5))), "lot3 6 purchased", 0, 6),
        (Some((id(2), credits(5))), "pool 6 purchased", 6, 0),
    ] {
        let mut before = account("sub 0");
        (before.used, before.held) = (credits(50), credits(50));
        let bought = PurchasedCredits { credits: credits(9), lot, terms: Terms::default() };
        let disputed = dispute_opened(&before, &bought, &attempt(200, at(NOW))).unwrap();
        let disputed = before.apply(&disputed).unwrap();
        let request = Restore {
            shares: super::restore::shares(share),
            why: DrawdownReason::Release,
            month: disputed.period,
        };
        let after = disputed.clone().apply(&restore(&disputed, &request, &attempt(201, at(NOW))).unwrap());
        let after = after.unwrap();
        let known: u64 = after.disputes.values().map(|dispute| dispute.aside.get()).sum();
        let others: u64 = after.lots.values().map(|lot| lot.left.get()).sum();
        assert_eq!((known, others), (aside, left), "{lot:?}: {share}");
    }
}

/// A part of the payment is disputed and the rest refunded: the disputed part stays set aside.
#[test]
fn a_refund_keeps_disputed_credits_set_aside() {
    let (account, whole) = bought("");
    let part = PurchasedCredits { credits: credits(5), ..whole };
    let account = Account { held: credits(5), ..spend(&account, 4) };
    let disputed = dispute_opened(&account, &part, &attempt(200, at(NOW))).unwrap();
    let disputed = account.clone().apply(&disputed).unwrap();
    let refunded = payment_refunded(
        &disputed,
        &PurchasedCredits { credits: credits(4), ..whole },
        &attempt(201, at(NOW)),
    );
    let refunded = disputed.clone().apply(&refunded.unwrap()).unwrap();
    let known = *refunded.disputes.values().next().unwrap();
    assert_eq!((known.aside.get(), known.most.get()), (1, 5));
    let request = Restore {
        shares: super::restore::shares("lot99 4 purchased"),
        why: DrawdownReason::Release,
        month: refunded.period,
    };
    let back = restore(&refunded, &request, &attempt(202, at(NOW))).unwrap();
    let back = refunded.apply(&back).unwrap();
    assert_eq!((back.disputes.values().next().unwrap().aside.get(), back.lots.len()), (5, 0));
}

/// Credits set aside for one purchase do not pay for the refund of another.
#[test]
fn a_refund_leaves_disputes_of_other_purchases_alone() {
    let before = account("sub 0, purchased 9");
    let bought =
        PurchasedCredits { credits: credits(9), lot: Some((id(2), credits(9))), terms: Terms::default() };
    let opened = dispute_opened(&before, &bought, &attempt(200, at(NOW))).unwrap();
    let disputed = before.apply(&opened).unwrap();
    let other =
        PurchasedCredits { credits: credits(4), lot: Some((id(50), credits(4))), terms: Terms::default() };
    let refunded = payment_refunded(&disputed, &other, &attempt(201, at(NOW))).unwrap();
    assert_eq!(moves(&refunded), "owed 4");
    let own = PurchasedCredits { credits: credits(4), ..bought };
    let refunded = payment_refunded(&disputed, &own, &attempt(201, at(NOW))).unwrap();
    assert_eq!(moves(&refunded), "disputed 4");
}

/// Credits that were bought for a service are set aside and come back on their terms; those that are spent meanwhile are
/// taken from plain ones.
#[test]
fn a_disputed_purchase_of_a_service_keeps_its_service() {
    let terms = Terms { service: Some(Service::Api), expires_at: None };
    let wanted = Grant {
        source: Source::Purchased,
        amount: Amount::try_from(9).unwrap(),
        service: terms.service,
        expires_at: None,
        origin: GrantOrigin::Purchase,
    };
    let granted = grant(&account("purchased 5"), &wanted, &attempt(100, at(NOW))).unwrap();
    let bought = PurchasedCredits::by(&granted.entry);
    assert_eq!((bought.terms, bought.lot), (terms, Some((id(100), credits(9)))));
    let before = account("purchased 5").apply(&granted).unwrap();
    let debit = Consume {
        operation: Operation::try_from("x".to_owned()).unwrap(),
        amount: credits(2),
        service: terms.service,
    };
    let spent = consume(&before, &debit, &attempt(101, at(NOW))).unwrap();
    let after_debit = before.apply(&spent).unwrap();
    let opened = dispute_opened(&after_debit, &bought, &attempt(102, at(NOW))).unwrap();
    let frozen = after_debit.clone().apply(&opened).unwrap();
    assert_eq!((frozen.spendable(terms.service, at(NOW)), frozen.disputes.len()), (credits(5), 1));
    let share = Share { lot: LotId::Granted(id(100)), source: Source::Purchased, amount: credits(2), terms };
    let why = DrawdownReason::Refund { reason: RefundReason::TechnicalFailure, note: None, twin: None };
    let back = Restore { shares: vec![share], why, month: frozen.period };
    let returned = frozen.clone().apply(&restore(&frozen, &back, &attempt(103, at(NOW))).unwrap()).unwrap();
    assert_eq!(returned.disputes.values().map(|dispute| dispute.aside).collect::<Vec<_>>(), [credits(9)]);
    let won = dispute_won(&returned, &bought, &opened.entry, &attempt(104, at(NOW))).unwrap();
    let after = returned.clone().apply(&won).unwrap();
    assert_eq!((after.lots[&id(100)].terms(), after.lots[&id(100)].left), (terms, credits(9)));
    assert_eq!(after.spendable(None, at(NOW)), credits(5));
    let lost = dispute_lost(&frozen, &bought, &opened.entry, &attempt(104, at(NOW))).unwrap();
    let after = frozen.clone().apply(&lost).unwrap();
    assert_eq!((after.spendable(terms.service, at(NOW)), after.disputes.len()), (credits(3), 0));
    let refunded = payment_refunded(&after_debit, &bought, &attempt(105, at(NOW))).unwrap();
    let after = after_debit.clone().apply(&refunded).unwrap();
    assert_eq!(after.spendable(terms.service, at(NOW)), credits(3));
    assert_eq!(after.post_paid.outstanding, credits(0));
}

/// A purchase of nine credits of a service, two of which were spent: what takes them back leaves credits on other terms
/// alone as long as it can. account; pool => moves of a dispute; of a refund of the whole payment; of one beside a dispute
#[test]
fn credits_of_a_service_are_taken_back_from_that_service_first() {
    let terms = Terms { service: Some(Service::Api), expires_at: None };
    let pool = Lot { source: Source::Purchased, left: credits(5), service: None, expires_at: None };
    let whole = PurchasedCredits { credits: credits(9), lot: Some((id(99), credits(9))), terms };
    let part = |amount| PurchasedCredits { credits: credits(amount), ..whole };
    for (line, has_pool, disputed, refunded, beside) in [
        ("purchased 5", false, "lot99 7, disputed 7", "lot99 7, lot1 2", "lot99 2, lot1 2"),
        ("purchased 5, purchased 4 api", false, "lot99 7, disputed 7", "lot99 7, lot2 2", "lot99 2, lot2 2"),
        ("bonus 5 api", true, "lot99 7, disputed 7", "lot99 7, pool 2", "lot99 2, pool 2"),
        ("bonus 5 api", false, "lot99 7, disputed 7", "lot99 7, owed 2", "lot99 2, disputed 2"),
    ] {
        let mut before = Account { used: credits(2), ..account(line) };
        before.lots.insert(id(99), Lot { left: credits(7), service: terms.service, ..pool.clone() });
        before.lots.extend(has_pool.then(|| (EntryId::FIRST, pool.clone())));
        let moves_of = |posting: Result<Posting, Refusal>| moves(&posting.unwrap());
        assert_eq!(moves_of(dispute_opened(&before, &whole, &attempt(200, at(NOW)))), disputed, "{line}");
        assert_eq!(moves_of(payment_refunded(&before, &whole, &attempt(200, at(NOW)))), refunded, "{line}");
        let opened = dispute_opened(&before, &part(5), &attempt(200, at(NOW))).unwrap();
        let after = before.apply(&opened).unwrap();
        assert_eq!(moves_of(payment_refunded(&after, &part(4), &attempt(201, at(NOW)))), beside, "{line}");
    }
}
