//! Tests of refunds and disputes of payments.

use proptest::prelude::*;

use super::*;

/// An approved purchase of 500 credits for £49.
pub(super) fn purchase(refunded: u64) -> Purchase {
    let account = AccountId { org: OrgId::new(at(NOW), 1), mode: Mode::Live };
    let price = Money::new(4_900, Currency::GBP).unwrap();
    let offer =
        Offer { credits: Amount::try_from(500).unwrap(), price, service: None, package: None, version: 1 };
    let method = Reference::try_from("card_1".to_owned()).unwrap();
    let id = PurchaseId { account, transaction: id(7) };
    let mut purchase = Purchase {
        status: PurchaseStatus::Approved(super::id(8)),
        ..Purchase::begun(id, offer, method, at(NOW))
    };
    refund(&mut purchase, refunded);
    purchase
}

/// Books refunds of `refunded` minor units in all.
fn refund(purchase: &mut Purchase, refunded: u64) {
    if let Some(step) = purchase.refund_due(refunded) {
        purchase.refunds.open = Some(step);
        purchase.refunds = purchase.refund_booked(step, Some(id(9)));
    }
    assert_eq!(purchase.refund_due(refunded), None);
}

pub(super) fn dispute(purchase: &mut Purchase, name: &str, money: u64) -> Credits {
    let credits = purchase.disputed_credits(Some(money));
    if !credits.is_zero() {
        let dispute = Dispute {
            amount: Some(money),
            credits: Some(credits),
            opened: Some(id(10)),
            ..Dispute::default()
        };
        purchase.disputes.insert(name.to_owned(), dispute);
    }
    credits
}

fn close(purchase: &mut Purchase, name: &str, lost: bool) {
    if let Some(dispute) = purchase.disputes.get_mut(name) {
        (dispute.closed, dispute.lost) = (Some(id(11)), lost);
    }
}

/// refunded of £49 in all => credits taken back of 500
#[test]
fn credits_are_taken_back_in_proportion_to_the_money() {
    for (refunded, taken) in [
        (0, 0),
        (1, 0),
        (10, 1),
        (98, 10),
        (2_450, 250),
        (3_333, 340),
        (4_899, 499),
        (4_900, 500),
        // A refund cannot exceed the payment, and takes back no more than was bought.
        (9_999, 500),
    ] {
        assert_eq!(purchase(refunded).refunds.credits.get(), taken, "{refunded}");
        // In two steps or in one.
        let mut two = purchase(refunded / 3);
        refund(&mut two, refunded);
        assert_eq!(
            (two.refunds.credits.get(), two.refunds.amount),
            (taken, refunded.min(4_900)),
            "{refunded}"
        );
    }
}

#[test]
fn a_failed_refund_returns_credits() {
    let mut purchase = purchase(4_900);
    refund(&mut purchase, 900);
    assert_eq!((purchase.refunds.credits.get(), purchase.refunds.steps), (91, 2));
    refund(&mut purchase, 0);
    assert_eq!((purchase.refunds.credits.get(), purchase.refunds.steps), (0, 3));
}

/// refunded before; disputed; then won or lost, and everything refunded => credits of the dispute, credits of
/// the refunds at the end
#[test]
fn disputes_and_refunds_together_take_the_bought_credits() {
    for (before, disputed, lost, of_dispute, of_refunds) in [
        (0, 4_900, true, 500, 0),
        (0, 4_900, false, 500, 500),
        (2_450, 2_450, true, 250, 250),
        (2_450, 2_450, false, 250, 500),
        (0, 1_000, true, 102, 398),
        // Refunded credits cannot be disputed as well.
        (2_450, 4_900, true, 250, 250),
        (4_900, 4_900, true, 0, 500),
    ] {
        let mut purchase = purchase(before);
        assert_eq!(dispute(&mut purchase, "dp", disputed).get(), of_dispute, "{before} {disputed}");
        assert_eq!(purchase.is_disputed(), of_dispute > 0);
        close(&mut purchase, "dp", lost);
        refund(&mut purchase, 4_900);
        assert_eq!(purchase.refunds.credits.get(), of_refunds, "{before} {disputed} {lost}");
    }
}

/// amount => refund, or refusal; of £49, £9 were refunded and £10 lost in a dispute
#[test]
fn an_operator_refunds_what_is_left() {
    let mut purchase = purchase(900);
    let refused = |purchase: &Purchase, amount| RefundOrder::checked(purchase, amount).is_err();
    dispute(&mut purchase, "dp", 1_000);
    assert!(refused(&purchase, None), "while it is disputed");
    close(&mut purchase, "dp", true);
    assert_eq!(RefundOrder::checked(&purchase, None), Ok(3_000));
    assert_eq!(RefundOrder::checked(&purchase, Some(1)), Ok(1));
    let refundable = Money::new(3_000, Currency::GBP).unwrap();
    assert_eq!(RefundOrder::checked(&purchase, Some(3_001)), Err(Refusal::MoreThanPaid { refundable }));
    let nothing_left = Refusal::PurchaseRefunded { currency: Currency::GBP, refunds: vec![id(20)] };
    // An order that is not booked yet counts; a refused one does not.
    let order = |state| RefundOrder {
        id: id(20),
        amount: 3_000,
        reason: Reference::try_from("why".to_owned()).unwrap(),
        by: KeyId::new(at(NOW), 1),
        at: at(NOW),
        state,
        step: None,
    };
    purchase.refunds.orders = vec![order(RefundState::Open)];
    assert_eq!(RefundOrder::checked(&purchase, None), Err(nothing_left.clone()));
    assert!(purchase.has_open_reversal());
    purchase.refunds.orders = vec![order(RefundState::Refused("no".into()))];
    assert_eq!(RefundOrder::checked(&purchase, None), Ok(3_000));
    purchase.refunds.orders = vec![order(RefundState::Made)];
    refund(&mut purchase, 3_900);
    assert_eq!(purchase.refunds.orders[0].step, Some(purchase.refunds.steps));
    assert!(!purchase.has_open_reversal());
    assert_eq!(RefundOrder::checked(&purchase, None), Err(nothing_left.clone()));
}

/// account before the purchase of nine; spent since; refunded => left, outstanding
#[test]
fn refunded_money_takes_credits_or_becomes_a_debt() {
    for (line, spent, credits, expected) in [
        ("", 0, 9, (0, 0)),
        ("", 0, 4, (5, 0)),
        ("", 4, 9, (0, 4)),
        ("", 9, 3, (0, 3)),
        ("purchased 3", 0, 9, (3, 0)),
        // Other purchased credits pay before credits become outstanding.
        ("purchased 3", 5, 9, (0, 2)),
        ("purchased 20", 9, 9, (11, 0)),
        // A part of the purchase has settled outstanding credits.
        ("owed 4", 0, 9, (0, 4)),
        ("owed 9", 0, 2, (0, 2)),
        // Bonus credits and credits of a service are not taken.
        ("bonus 5, purchased 4 smartcheck until 2024-03-01", 9, 9, (9, 9)),
    ] {
        let before = account(line);
        let posting = super::grant::give(&before, "purchased", 9, 99);
        let entry = posting.entry.clone();
        let mut now = before.apply(&posting).unwrap();
        if spent > 0 {
            let operation = Operation::try_from("x".to_owned()).unwrap();
            let request = Consume { operation, amount: super::credits(spent), service: None };
            now = now.clone().apply(&consume(&now, &request, &attempt(100, at(NOW))).unwrap()).unwrap();
        }
        let bought = PurchasedCredits { credits: super::credits(credits), ..PurchasedCredits::by(&entry) };
        let taken = payment_refunded(&now, &bought, &attempt(200, at(NOW))).unwrap();
        assert_eq!((taken.entry.amount, taken.entry.direction), (bought.credits, Direction::Debit));
        let after = now.apply(&taken).unwrap();
        let left: u64 = after.lots.values().map(|lot| lot.left.get()).sum();
        assert_eq!((left, after.post_paid.outstanding.get()), expected, "{line}, {spent}, {credits}");
        // Returned credits first settle outstanding credits.
        let restored = payment_restored(&after, &bought, &attempt(201, at(NOW))).unwrap();
        let again = after.apply(&restored).unwrap();
        let left_again: u64 = again.lots.values().map(|lot| lot.left.get()).sum();
        assert_eq!(left_again + expected.1, left + credits, "{line}, {spent}, {credits}");
    }
}

/// An open step already counts: a dispute opened meanwhile concerns the rest. refunded of £49 => credits of a
/// dispute of all of it, minor units that can still be refunded
#[test]
fn a_step_under_way_counts() {
    for (refunded, of_dispute, refundable) in [(0, 500, 4_900), (2_450, 250, 2_450), (4_900, 0, 0)] {
        let mut purchase = purchase(0);
        purchase.refunds.open = purchase.refund_due(refunded);
        assert_eq!(purchase.disputed_credits(Some(4_900)).get(), of_dispute, "{refunded}");
        assert_eq!(purchase.refundable(), refundable, "{refunded}");
    }
}

/// A reversal on the row that is not booked is completed by the scheduled job.
#[test]
fn a_reversal_is_open_until_it_is_booked() {
    let mut refunded = purchase(0);
    refunded.refunds.open = refunded.refund_due(900);
    assert!(refunded.has_open_reversal());
    refund(&mut refunded, 900);
    assert!(!refunded.has_open_reversal());
    let mut disputed = purchase(0);
    dispute(&mut disputed, "dp", 900);
    assert!(!disputed.has_open_reversal());
    disputed.disputes.get_mut("dp").unwrap().opened = None;
    assert!(disputed.has_open_reversal());
}

/// Credits of the purchase's lot that a refund has taken do not count for a later dispute.
#[test]
fn credits_taken_by_other_reversals_do_not_count() {
    let granted = super::grant::give(&account("owed 400"), "purchased", 500, 99).entry;
    let lot = id(99);
    for (refunded, expected) in [(0, Some((lot, credits(100)))), (490, Some((lot, credits(50)))), (980, None)]
    {
        let mut purchase = purchase(refunded);
        let disputed = dispute(&mut purchase, "dp", 2_450);
        assert_eq!(disputed, credits(250), "{refunded}");
        // A hundred went into the lot, the others settled outstanding credits.
        assert_eq!(
            purchase.bought(&granted, disputed),
            PurchasedCredits { credits: disputed, lot: expected, terms: Terms::default() },
            "{refunded}"
        );
    }
}

/// A refund takes the credits of its own purchase before those of others.
#[test]
fn a_refund_takes_its_own_purchase_first() {
    let bought =
        PurchasedCredits { credits: credits(5), lot: Some((id(2), credits(9))), terms: Terms::default() };
    for (line, expected) in
        [("purchased 3, purchased 9", "lot2 5"), ("purchased 3, purchased 4", "lot2 4, lot1 1")]
    {
        let taken = payment_refunded(&account(line), &bought, &attempt(200, at(NOW))).unwrap();
        assert_eq!(moves(&taken), expected, "{line}");
    }
}

/// A refund fails while the purchase is disputed: the returned credits stay set aside.
#[test]
fn what_comes_back_during_a_dispute_is_set_aside() {
    let before = account("sub 0, purchased 9");
    let whole =
        PurchasedCredits { credits: credits(9), lot: Some((id(2), credits(9))), terms: Terms::default() };
    let part = PurchasedCredits { credits: credits(4), ..whole };
    let opened = dispute_opened(&before, &whole, &attempt(200, at(NOW))).unwrap();
    let disputed = before.apply(&opened).unwrap();
    let refunded = payment_refunded(&disputed, &part, &attempt(201, at(NOW))).unwrap();
    let refunded = disputed.apply(&refunded).unwrap();
    let restored = payment_restored(&refunded, &part, &attempt(202, at(NOW))).unwrap();
    let after = refunded.apply(&restored).unwrap();
    let aside: u64 = after.disputes.values().map(|known| known.aside.get()).sum();
    assert_eq!((aside, after.lots.len()), (9, 0));
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Refunded(u64),
    Disputed(usize, u64),
    Closed(usize, bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (0u64..6_000).prop_map(Act::Refunded),
        (0usize..3, 1u64..6_000).prop_map(|(name, money)| Act::Disputed(name, money)),
        (0usize..3, any::<bool>()).prop_map(|(name, lost)| Act::Closed(name, lost)),
    ];
    proptest::collection::vec(act, 0..12)
}

proptest! {
    /// For refunds and disputes in any order: the credits taken back correspond to the refunded or disputed
    /// money, and are never more than were bought.
    #[test]
    fn credits_taken_correspond_to_the_money(acts in acts()) {
        const NAMES: [&str; 3] = ["dp_a", "dp_b", "dp_c"];
        let mut purchase = purchase(0);
        let mut refunded = 0;
        for act in acts {
            match act {
                Act::Refunded(money) => refunded = money.min(4_900),
                Act::Disputed(name, money) if !purchase.disputes.contains_key(NAMES[name]) => {
                    dispute(&mut purchase, NAMES[name], money);
                }
                Act::Disputed(..) => (),
                Act::Closed(name, lost) => {
                    if purchase.disputes.get(NAMES[name]).is_some_and(|known| known.closed.is_none()) {
                        close(&mut purchase, NAMES[name], lost);
                    }
                }
            }
            refund(&mut purchase, refunded);
        }
        let status = purchase.disputes.values().filter(|dispute| dispute.closed.is_none() || dispute.lost);
        let (mut money, mut taken) = (refunded, purchase.refunds.credits.get());
        for dispute in status {
            money += dispute.amount.unwrap();
            taken += dispute.credits.unwrap().get();
        }
        prop_assert!(taken <= 500);
        if money >= 4_900 && purchase.disputes.len() <= 1 {
            prop_assert_eq!(taken, 500);
        }
        prop_assert!(taken <= purchase.credits_for(money).get() + 3);
    }
}

pub(super) fn order(number: u64, amount: u64, state: RefundState, step: Option<u32>) -> RefundOrder {
    let reason = Reference::try_from("Ordered twice".to_owned()).unwrap();
    RefundOrder { id: id(number), amount, reason, by: KeyId::new(at(NOW), 1), at: at(NOW), state, step }
}

/// An operator's refund is booked once the provider has made it and its credits are taken back.
#[test]
fn an_order_is_booked_once_its_money_was_refunded() {
    let mut purchase = purchase(0);
    purchase.refunds.orders = vec![
        order(20, 980, RefundState::Made, Some(1)),
        order(21, 980, RefundState::Made, None),
        order(22, 980, RefundState::Open, Some(2)),
    ];
    assert_eq!([20, 21, 22].map(|number| purchase.is_refund_booked(id(number))), [true, false, false]);
}

/// A step belongs to an order of at most its money: a smaller refund was made by another order.
#[test]
fn a_step_belongs_to_an_order_of_no_more_money() {
    for (refunded, expected) in [(979, None), (980, Some(id(20))), (4_900, Some(id(20)))] {
        let mut purchase = purchase(0);
        purchase.refunds.orders = vec![order(20, 980, RefundState::Open, None)];
        assert_eq!(purchase.refund_due(refunded).unwrap().order, expected, "{refunded}");
    }
}
