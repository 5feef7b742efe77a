//! What a transaction adds to rollups.

use super::*;

/// The debit of a posting, with the details of a request.
fn receipt(account: Account, posting: &Posting, details: Details) -> Receipt {
    account.apply(posting).unwrap().receipts(details).remove(0)
}

fn debit(line: &str, amount: u64) -> Receipt {
    let before = account(line);
    let request = Consume { amount: credits(amount), ..of_one_credit() };
    let posting = consume(&before, &request, &attempt(99, at(NOW))).unwrap();
    let customer_id = Reference::try_from("cust".to_owned()).ok();
    receipt(before, &posting, Details { customer_id, service: Some(Service::Api), ..Details::default() })
}

fn of_one_credit() -> Consume {
    Consume {
        operation: Operation::try_from("aml.pep".to_owned()).unwrap(),
        amount: credits(1),
        service: None,
    }
}

/// A receipt whose credits were drawn from a debit or a hold.
fn drawn(from: &Receipt, operation: &'static str, why: DrawdownReason) -> Receipt {
    let shares = from.entry.moves.iter().map(Share::from).collect();
    let drawn = Drawn { of: from.entry.id, why, shares };
    let entry = Entry { operation: Operation::own(operation), moves: vec![], ..from.entry.clone() };
    let purpose = Operation::try_from("kyt.wallet".to_owned()).ok();
    let details = Details { drawn: Some(drawn), purpose, ..Details::default() };
    Receipt { entry, details, ..from.clone() }
}

/// Its parts: operation, direction, credits, calls, and whether they are drawn.
fn parts(receipt: &Receipt) -> Vec<String> {
    let text = |part: &RollupPart| {
        let RollupPart { line, lot, direction, sum } = part;
        let lot = lot.map_or("no lot".to_owned(), |lot| lot.source.as_str().to_owned());
        let drawn = if line.is_drawn { " drawn" } else { "" };
        format!(
            "{} {direction:?} {} {lot}, {} calls{drawn}",
            line.operation.as_str(),
            sum.credits.get(),
            sum.calls
        )
    };
    RollupRecord::of(receipt).parts.iter().map(text).collect()
}

#[test]
fn a_transaction_is_one_call_and_the_credits_of_each_lot() {
    let paid = debit("sub 5, purchased 3", 7);
    let refund = DrawdownReason::Refund { reason: RefundReason::TechnicalFailure, note: None, twin: None };
    for (receipt, expected) in [
        (paid.clone(), vec!["aml.pep Debit 5 subscription, 1 calls", "aml.pep Debit 2 purchased, 0 calls"]),
        (debit("sub 5", 0), vec!["aml.pep Debit 0 no lot, 1 calls"]),
        (
            drawn(&paid, "credit.capture", DrawdownReason::Capture),
            vec![
                "kyt.wallet Debit 5 subscription, 1 calls drawn",
                "kyt.wallet Debit 2 purchased, 0 calls drawn",
            ],
        ),
        (
            drawn(&paid, "credit.refund", refund),
            vec![
                "credit.refund Credit 5 subscription, 1 calls drawn",
                "credit.refund Credit 2 purchased, 0 calls drawn",
            ],
        ),
        (
            drawn(&paid, "credit.release", DrawdownReason::Release),
            vec!["credit.release Debit 0 no lot, 1 calls"],
        ),
    ] {
        assert_eq!(parts(&receipt), expected);
    }
}

/// Subscription credits come back to their lot, end there, and others leave a lot that is merged.
#[test]
fn credits_that_have_ended_on_their_return_leave_as_expired() {
    let paid = debit("sub 5, purchased 3", 7);
    for operation in ["credit.release", "credit.refund"] {
        let mut receipt = drawn(&paid, operation, DrawdownReason::Release);
        let back = paid.entry.moves.iter().map(|part| Move { direction: Direction::Credit, ..*part });
        receipt.entry.moves = back.chain(paid.entry.moves.clone()).collect();
        receipt.entry.direction = Direction::Credit;
        let expected = [
            format!("{operation} Credit 5 subscription, 1 calls"),
            format!("{operation} Credit 2 purchased, 0 calls"),
            "credit.expiry Debit 5 subscription, 0 calls".to_owned(),
            format!("{operation} Debit 2 purchased, 0 calls"),
        ];
        assert_eq!(parts(&receipt), expected);
    }
}

#[test]
fn a_transaction_names_its_customer_service_and_id() {
    let paid = debit("sub 5", 1);
    let record = RollupRecord::of(&paid);
    assert_eq!((record.id, record.sequence), (paid.entry.id, paid.sequence));
    assert_eq!(record.customer.as_ref().map(Reference::as_str), Some("cust"));
    assert_eq!((record.member, record.parts[0].line.service), (None, Some(Service::Api)));
}
