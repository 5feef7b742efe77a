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
