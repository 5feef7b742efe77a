//! Tests of refunds that operators order.

use super::reversal::{dispute, order, purchase};
use super::*;

/// Operators' refunds as (minor units, how far, the step that booked it).
fn ordered(orders: &[(u64, RefundState, Option<u32>)]) -> Purchase {
    let numbered = (20..).zip(orders.iter().cloned());
    let orders = numbered.map(|(number, (amount, state, step))| order(number, amount, state, step));
    let mut purchase = purchase(0);
    purchase.refunds = Refunds { orders: orders.collect(), steps: 4, ..purchase.refunds };
    purchase
}

fn steps(refunds: &Refunds) -> Vec<Option<u32>> {
    refunds.orders.iter().map(|order| order.step).collect()
}

/// A step books the orders that were made before it and the one that led to it; each order is booked once.
#[test]
fn a_step_books_each_order_once() {
    let refused = RefundState::Refused("charge_disputed".into());
    let purchase = ordered(&[
        (10, RefundState::Made, None),
        (20, RefundState::Made, Some(2)),
        (30, RefundState::Open, None),
        (40, RefundState::Open, None),
        (50, refused, None),
        (60, RefundState::Open, Some(3)),
    ]);
    for (order, expected) in [
        (None, [Some(5), Some(2), None, None, None, Some(3)]),
        (Some(id(22)), [Some(5), Some(2), Some(5), None, None, Some(3)]),
        (Some(id(25)), [Some(5), Some(2), None, None, None, Some(3)]),
    ] {
        let step = RefundStep { amount: 60, credits: Credits::default(), order };
        let booked = purchase.refund_booked(step, Some(id(9)));
        assert_eq!((booked.steps, steps(&booked)), (5, expected.to_vec()), "{order:?}");
    }
    let booked = purchase.refunds_booked();
    assert_eq!(booked.steps, 4);
    assert_eq!(steps(&booked), [Some(4), Some(2), None, None, None, Some(3)]);
}

/// What can still be refunded leaves out what was refunded, what is disputed and what orders are about to take.
#[test]
fn an_order_takes_what_can_be_refunded_until_it_is_booked() {
    let refused = RefundState::Refused("charge_disputed".into());
    for (what, orders, expected) in [
        ("nothing is ordered", vec![], 4_900),
        ("not confirmed", vec![(980, RefundState::Open, None)], 3_920),
        ("made, not booked", vec![(980, RefundState::Made, None)], 3_920),
        ("made and booked", vec![(980, RefundState::Made, Some(1))], 4_900),
        ("refused", vec![(980, refused, None)], 4_900),
    ] {
        assert_eq!(ordered(&orders).refundable(), expected, "{what}");
    }
}

/// A reversal is open until it is booked on its purchase and its account.
#[test]
fn an_order_is_open_until_it_is_made_and_booked() {
    let refused = RefundState::Refused("charge_disputed".into());
    for (what, orders, expected) in [
        ("nothing is ordered", vec![], false),
        ("not confirmed", vec![(980, RefundState::Open, None)], true),
        ("booked before it was confirmed", vec![(980, RefundState::Open, Some(1))], true),
        ("made, not booked", vec![(980, RefundState::Made, None)], true),
        ("made and booked", vec![(980, RefundState::Made, Some(1))], false),
        ("refused", vec![(980, refused, None)], false),
    ] {
        assert_eq!(ordered(&orders).has_open_reversal(), expected, "{what}");
    }
    let mut open = purchase(0);
    open.refunds.open = open.refund_due(490);
    let to_return = Purchase { to_return: true, ..purchase(0) };
    let mut unbooked = purchase(0);
    unbooked.disputes.insert("dp_1".into(), Dispute::default());
    let mut booked = purchase(0);
    dispute(&mut booked, "dp_1", 4_900);
    let seen = [&open, &to_return, &unbooked, &booked].map(Purchase::has_open_reversal);
    assert_eq!(seen, [true, true, true, false]);
}

/// The total of operators' refunds is what the provider has made, and at least what is booked.
#[test]
fn orders_come_to_what_the_provider_has_made() {
    let refused = RefundState::Refused("charge_disputed".into());
    let orders = [
        (980, RefundState::Made, Some(1)),
        (100, RefundState::Made, None),
        (490, RefundState::Open, None),
        (70, refused, None),
    ];
    let mut refunds = ordered(&orders).refunds;
    assert_eq!(refunds.ordered(), 1_080);
    refunds.amount = 2_000;
    assert_eq!(refunds.ordered(), 2_000);
}

/// What an operator may order, of £49 of which £9.80 were refunded.
#[test]
fn an_operator_orders_at_most_what_can_be_refunded() {
    let purchase = ordered(&[(980, RefundState::Made, None)]);
    let refundable = Money::new(3_920, Currency::GBP).unwrap();
    for (amount, expected) in [
        (None, Ok(3_920)),
        (Some(1), Ok(1)),
        (Some(3_920), Ok(3_920)),
        (Some(0), Err(Refusal::MoreThanPaid { refundable })),
        (Some(3_921), Err(Refusal::MoreThanPaid { refundable })),
    ] {
        assert_eq!(RefundOrder::checked(&purchase, amount), expected, "{amount:?}");
    }
    let refused = RefundState::Refused("charge_disputed".into());
    let all = ordered(&[(4_900, RefundState::Open, None), (10, refused, None)]);
    let expected = Refusal::PurchaseRefunded { currency: Currency::GBP, refunds: vec![id(20)] };
    assert_eq!(RefundOrder::checked(&all, None), Err(expected));

    let mut disputed = purchase;
    dispute(&mut disputed, "dp_1", 980);
    assert!(matches!(RefundOrder::checked(&disputed, Some(1)), Err(Refusal::NotEligible(_))));
    for (orders, may) in [(49, true), (50, false)] {
        let many = ordered(&vec![(1, RefundState::Made, Some(1)); orders]);
        assert_eq!(RefundOrder::checked(&many, Some(1)).is_ok(), may, "{orders}");
    }
}
