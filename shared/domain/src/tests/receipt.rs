//! Tests of what a transaction shows about its lots and the balance.

use super::*;

fn receipt(account: &Account, posting: &Posting) -> Receipt {
    let after = account.clone().apply(posting).unwrap();
    let lines = after.receipts(Details::default());
    lines.into_iter().next().unwrap()
}

/// account; refund => expired credits, change of the balance
#[test]
fn a_refund_shows_expired_credits_and_the_change_of_balance() {
    let until = |text: &str| Terms { service: None, expires_at: Some(at(text)) };
    for (line, came, terms, why, ended, net) in [
        ("sub 0", "sub 3", Terms::default(), super::restore::refund(), None, 3),
        ("sub 0", "lot700 3", until("2024-01-15T10:30:01Z"), DrawdownReason::Release, None, 3),
        ("sub 0", "lot700 3", until("2024-01-15T10:30:00Z"), DrawdownReason::Release, Some(3), 0),
        ("sub 0", "old 3", Terms::default(), DrawdownReason::Release, Some(3), 0),
        ("unlimited", "unlimited 3", Terms::default(), super::restore::refund(), None, 0),
        ("sub 0, owed 2", "lot700 3 purchased", Terms::default(), super::restore::refund(), None, 1),
    ] {
        let mut before = Account { used: credits(50), held: credits(50), ..account(line) };
        before.subscription.granted = before.subscription.granted.plus(credits(9)).unwrap();
        let mut shares = super::restore::shares(came);
        let gone = shares.iter_mut().filter(|share| share.lot == LotId::Granted(id(700)));
        gone.for_each(|share| share.terms = terms);
        let request = Restore { shares, why, month: before.period };
        let posting = restore(&before, &request, &attempt(900, at(NOW))).unwrap();
        let summary = receipt(&before, &posting);
        assert_eq!((summary.ended().map(Credits::get), summary.net()), (ended, net), "{line}: {came}");
    }
}

/// A debit reduces the balance by what lots gave, and its moves have the lots' terms.
#[test]
fn a_debit_shows_lots_and_their_terms() {
    let before = account("sub 2, bonus 3 until 2024-02-20, limit 9");
    let operation = Operation::try_from("x".to_owned()).unwrap();
    let request = Consume { operation, amount: credits(7), service: None };
    let summary = receipt(&before, &consume(&before, &request, &attempt(99, at(NOW))).unwrap());
    assert_eq!((summary.ended(), summary.net(), summary.entry.amount), (None, -5, credits(7)));
    let terms: Vec<_> = summary.sources().iter().map(|part| part.terms.expires_at).collect();
    assert_eq!(terms, [None, Some(at("2024-02-20T00:00:00Z")), None]);
}

/// A claim key is stored as text that shows its owner.
#[test]
fn a_claim_key_is_parsed_as_it_was_written() {
    let key = || IdempotencyKey::try_from("k1".to_owned()).unwrap();
    for (key, text) in [
        (ClaimKey::Caller(key()), "c#k1"),
        (ClaimKey::Operator(key()), "o#k1"),
        (ClaimKey::System(key()), "s#k1"),
    ] {
        assert_eq!((key.to_string(), String::from(key.clone())), (text.to_owned(), text.to_owned()));
        assert_eq!(ClaimKey::try_from(text.to_owned()), Ok(key));
    }
}

/// A lot that made room for a credit is left out of its sources, but no other lot.
#[test]
fn a_lot_that_made_room_is_not_a_source() {
    let before = account("sub 0");
    let mut entry = super::grant::give(&before, "purchased", 5, 99).entry;
    entry.moves.push(Move::out(LotId::Granted(id(1)), Source::Bonus, credits(3)));
    entry.moves.push(Move::into(LotId::Granted(id(2)), Source::Bonus, credits(3)));
    let receipt =
        Receipt { entry, sequence: 1, details: Details::default(), balance: before.balance(at(NOW)) };
    let summary: Vec<_> = receipt.sources().iter().map(|part| (part.lot, part.amount.get())).collect();
    assert_eq!(summary, [(LotId::Granted(id(99)), 5)]);
}

/// A debit of nine credits with `drawn` as its details.
fn debit(drawn: Option<Drawn>) -> Receipt {
    let before = account("sub 2, bonus 3, limit 9");
    let operation = Operation::try_from("x".to_owned()).unwrap();
    let request = Consume { operation, amount: credits(9), service: None };
    let entry = consume(&before, &request, &attempt(99, at(NOW))).unwrap().entry;
    let details = Details { drawn, ..Details::default() };
    Receipt { entry, sequence: 1, details, balance: before.balance(at(NOW)) }
}

/// reason of the drawdown => hold, captured credits, lots
#[test]
fn a_transaction_shows_what_it_was_drawn_from() {
    let hold = || Some(HoldId::from(id(7)));
    for (why, hold, captured, lots) in [
        (DrawdownReason::Capture, hold(), Some(4), "lot1 4 purchased"),
        (DrawdownReason::Release, hold(), None, "sub 2, lot2 3, owed 4"),
        (DrawdownReason::Expiry, hold(), None, "sub 2, lot2 3, owed 4"),
        (super::restore::refund(), None, None, "sub 2, lot2 3, owed 4"),
    ] {
        let shares = super::restore::shares("lot1 4 purchased");
        let receipt = debit(Some(Drawn { of: id(7), why: why.clone(), shares }));
        let found = (receipt.hold(), receipt.captured().map(Credits::get));
        assert_eq!(found, (hold, captured), "{why:?}");
        assert_eq!(receipt.shares(), super::restore::shares(lots), "{why:?}");
    }
    let mut holding = debit(None);
    assert_eq!((holding.hold(), holding.captured()), (None, None));
    holding.entry.operation = Operation::try_from("credit.hold".to_owned()).unwrap();
    assert_eq!(holding.hold(), Some(HoldId::from(id(99))));
}

#[test]
fn a_refund_names_its_debit_and_its_duplicate() {
    let drawn = |why| Drawn { of: id(7), why, shares: vec![] };
    let reason = RefundReason::DuplicateOperation;
    let refund = drawn(DrawdownReason::Refund { reason, note: None, twin: Some(id(6)) }).refund();
    assert_eq!(refund, Some(RefundDetails { of: id(7), reason, duplicate_of: Some(id(6)) }));
    for why in [DrawdownReason::Capture, DrawdownReason::Release, DrawdownReason::Expiry] {
        assert_eq!(drawn(why).refund(), None);
    }
}

/// The parts by source add up to the change of the balance; what is spent on account is no part of it.
#[test]
fn the_change_of_the_balance_has_parts() {
    let receipt = debit(None);
    let parts = [Source::Subscription, Source::Purchased, Source::Bonus, Source::PostPaid];
    assert_eq!(parts.map(|source| receipt.net_of(source)), [-2, 0, -3, 0]);
    assert_eq!((receipt.net(), receipt.balance_after()), (-5, credits(5)));
}

/// Only a debit is post-paid: a credit that settles a debt is not.
#[test]
fn a_transaction_has_a_status() {
    let mut receipt = debit(None);
    assert_eq!(receipt.status(), "postPaid");
    receipt.entry.direction = Direction::Credit;
    assert_eq!(receipt.status(), "approved");
    receipt.entry.direction = Direction::Debit;
    receipt.entry.moves.pop();
    assert_eq!(receipt.status(), "approved");
}

#[test]
fn a_purchase_has_the_id_that_its_caller_knows() {
    let mut receipt = debit(None);
    assert_eq!(receipt.transaction_id(), id(99));
    let method = Reference::try_from("pm_1".to_owned()).unwrap();
    let price = Money::new(1, Currency::GBP).unwrap();
    receipt.details.paid = Some(PaymentDetails {
        transaction: id(5),
        method,
        price,
        rate: None,
        package: None,
        payment: None,
        receipt: None,
    });
    assert_eq!(receipt.transaction_id(), id(5));
}

/// Names in files are those of the API.
#[test]
fn names_are_those_of_the_api() {
    for reason in RefundReason::ALL {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
    for (direction, name, category) in
        [(Direction::Debit, "DEBIT", "usage"), (Direction::Credit, "CREDIT", "purchase")]
    {
        assert_eq!(serde_json::to_value(direction).unwrap(), name);
        assert_eq!((direction.as_str(), direction.category()), (name, category));
    }
}
