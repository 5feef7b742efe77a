use super::*;

/// A debit of all that may pay.
fn spend(account: &Account, amount: u64) -> Account {
    let operation = Operation::try_from("x".to_owned()).unwrap();
    let request = Consume { operation, amount: credits(amount), service: None };
    let posting = consume(account, &request, &head(98, at(NOW))).unwrap();
    account.clone().apply(&posting).unwrap()
}

/// All that is owed is settled, also what was spent on account after the grant was decided.
#[test]
fn a_grant_is_decided_again_when_more_is_owed_by_then() {
    let before = account("limit 20, owed 4");
    let posting = super::grant::give(&before, "purchased", 9, 99);
    assert!(before.clone().apply(&posting).is_some());
    assert!(spend(&before, 2).apply(&posting).is_none());
}

/// What is left of the lot is set aside, and not what was left when the dispute was decided.
#[test]
fn a_dispute_is_decided_again_when_less_of_its_lot_is_left_by_then() {
    let bought = super::grant::give(&account(""), "purchased", 9, 97);
    let before = account("").apply(&bought).unwrap();
    let posting = dispute_opened(&before, &Bought::by(&bought.entry), &head(99, at(NOW)));
    assert!(before.clone().apply(&posting).is_some());
    assert!(spend(&before, 2).apply(&posting).is_none());
}
