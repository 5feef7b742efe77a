//! Which transactions are credit records.

use super::*;

/// A transaction of one lot.
fn receipt(operation: &str, direction: Direction, amount: u64, source: Source) -> Receipt {
    let (owed, month) = (LotId::PostPaid, LotId::Subscription(Period::of(at(NOW))));
    let lot = if source == Source::PostPaid { owed } else { month };
    let mut receipt = {
        let before = account("sub 5");
        let request = Consume {
            operation: Operation::try_from("aml.pep".to_owned()).unwrap(),
            amount: credits(1),
            service: None,
        };
        let posting = consume(&before, &request, &attempt(99, at(NOW))).unwrap();
        before.apply(&posting).unwrap().receipts(Details::default()).remove(0)
    };
    let part = match direction {
        Direction::Debit => Move::out(lot, source, credits(amount)),
        Direction::Credit => Move::into(lot, source, credits(amount)),
    };
    receipt.entry.operation = Operation::try_from(operation.to_owned()).unwrap();
    (receipt.entry.direction, receipt.entry.amount) = (direction, credits(amount));
    receipt.entry.moves = if amount == 0 { vec![] } else { vec![part] };
    receipt
}

/// operation; direction; amount; source of its credits => kind
#[test]
fn credits_that_arrive_and_credits_that_are_used_are_records() {
    use Direction::{Credit, Debit};
    use RecordKind::{Nothing, PostPaid, Purchase, Usage};
    use Source::{Purchased, Subscription};

    for (operation, direction, amount, source, expected) in [
        ("credit.purchase", Credit, 5, Purchased, Purchase),
        ("credit.grant", Credit, 5, Purchased, Purchase),
        ("credit.renewal", Credit, 5, Subscription, Purchase),
        ("credit.plan_change", Credit, 5, Subscription, Purchase),
        ("credit.adjustment", Credit, 5, Purchased, Purchase),
        // No credits arrive.
        ("credit.renewal", Credit, 0, Subscription, Nothing),
        ("credit.plan_change", Credit, 0, Subscription, Nothing),
        // They come back.
        ("credit.refund", Credit, 5, Purchased, Nothing),
        ("credit.release", Credit, 5, Purchased, Nothing),
        ("credit.dispute_won", Credit, 5, Purchased, Nothing),
        ("credit.refund_failed", Credit, 5, Purchased, Nothing),
        ("aml.pep", Debit, 5, Subscription, Usage),
        ("aml.pep", Debit, 0, Subscription, Usage),
        ("aml.pep", Debit, 5, Source::PostPaid, PostPaid),
        ("credit.adjustment", Debit, 5, Purchased, Usage),
        // They are set aside, taken back or end.
        ("credit.hold", Debit, 5, Purchased, Nothing),
        ("credit.hold", Debit, 5, Source::PostPaid, Nothing),
        ("credit.expiry", Debit, 5, Purchased, Nothing),
        ("credit.plan_change", Debit, 5, Subscription, Nothing),
        ("credit.dispute", Debit, 5, Purchased, Nothing),
        ("credit.dispute_lost", Debit, 5, Source::PostPaid, Nothing),
        ("credit.payment_refund", Debit, 5, Purchased, Nothing),
    ] {
        let receipt = receipt(operation, direction, amount, source);
        assert_eq!(RecordKind::of(&receipt), expected, "{operation} {direction:?} {amount} {source:?}");
    }
}

/// Held credits are used once they are captured.
#[test]
fn captures_are_usage_and_releases_are_not() {
    let hold = receipt("credit.hold", Direction::Debit, 5, Source::Purchased);
    for (why, operation, source, expected) in [
        (DrawdownReason::Capture, "credit.capture", Source::Purchased, RecordKind::Usage),
        (DrawdownReason::Capture, "credit.capture", Source::PostPaid, RecordKind::PostPaid),
        (DrawdownReason::Release, "credit.release", Source::PostPaid, RecordKind::Nothing),
    ] {
        let mut receipt = receipt(operation, Direction::Debit, 0, source);
        let share = Share { source, ..Share::from(&hold.entry.moves[0]) };
        receipt.details.drawn = Some(Drawn { of: hold.entry.id, why, shares: vec![share] });
        assert_eq!(RecordKind::of(&receipt), expected, "{operation} {source:?}");
    }
}
