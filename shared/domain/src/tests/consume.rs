//! Tests of debits.

use super::*;

/// account; amount; service => the lots that pay, in order
#[test]
fn lots_pay_in_the_order_of_consumption() {
    check(&[
        // Subscription, then purchased, then bonus.
        ("sub 5, purchased 3, bonus 2", 1, "", "sub 1"),
        ("sub 5, purchased 3, bonus 2", 5, "", "sub 5"),
        ("sub 5, purchased 3, bonus 2", 6, "", "sub 5, lot2 1"),
        ("sub 5, purchased 3, bonus 2", 9, "", "sub 5, lot2 3, lot3 1"),
        ("sub 5, purchased 3, bonus 2", 10, "", "sub 5, lot2 3, lot3 2"),
        ("bonus 2, purchased 3", 4, "", "lot2 3, lot1 1"),
        // All or nothing; the refusal has the credits that this debit could have used.
        ("sub 5, purchased 3, bonus 2", 11, "", "needs 11, has 10"),
        ("", 1, "", "needs 1, has 0"),
        ("sub 1", 2, "", "needs 2, has 1"),
        // Within a source: its own service first, then the soonest to expire, then the oldest.
        ("bonus 2, bonus 2", 3, "", "lot1 2, lot2 1"),
        ("bonus 2, bonus 2 until 2024-01-20", 3, "", "lot2 2, lot1 1"),
        ("bonus 2 until 2024-02-20, bonus 2 until 2024-01-20", 3, "", "lot2 2, lot1 1"),
        ("bonus 2 until 2024-01-20, bonus 2 smartcheck", 3, "smartcheck", "lot2 2, lot1 1"),
        (
            "bonus 2 smartcheck until 2024-02-20, bonus 2 smartcheck until 2024-01-20",
            3,
            "smartcheck",
            "lot2 2, lot1 1",
        ),
        ("sub 1, purchased 2, bonus 2 smartcheck", 4, "smartcheck", "sub 1, lot2 2, lot3 1"),
        // A lot with a service pays only for that service.
        ("bonus 2 smartcheck", 1, "", "needs 1, has 0"),
        ("bonus 2 smartcheck", 1, "biometric", "needs 1, has 0"),
        ("bonus 2 smartcheck, bonus 1", 3, "api", "needs 3, has 1"),
        ("purchased 2 api, purchased 2", 3, "api", "lot1 2, lot2 1"),
        // An expired lot does not pay; one that expires at the next instant does.
        ("bonus 2 until 2024-01-15, bonus 1", 1, "", "lot2 1"),
        ("bonus 2 until 2024-01-15", 1, "", "needs 1, has 0"),
        ("bonus 2 until 2024-01-16", 2, "", "lot1 2"),
        // An empty lot is skipped.
        ("sub 0, purchased 0, bonus 1", 1, "", "lot3 1"),
        // A price of 0: the debit is recorded, and no lot changes.
        ("sub 5", 0, "", ""),
        ("", 0, "", ""),
        // Unlimited: no lot pays, even if there are some.
        ("unlimited", 7, "", "unlimited 7"),
        ("unlimited, purchased 3", 7, "", "unlimited 7"),
    ]);
}

/// A debit removes lots that earlier debits emptied, so that the account does not grow with them.
#[test]
fn a_debit_removes_emptied_lots() {
    let before = account("sub 5, purchased 0, bonus 0, bonus 1");
    let posting = consume(&before, &request(1, ""), &attempt(99, at(NOW))).unwrap();
    let after = before.apply(&posting).unwrap();
    assert_eq!(after.lots.into_keys().collect::<Vec<_>>(), [id(4)]);
}

#[track_caller]
fn check(table: &[(&str, u64, &str, &str)]) {
    for &(line, amount, service, expected) in table {
        let before = account(line);
        let summary = match consume(&before, &request(amount, service), &attempt(99, at(NOW))) {
            Ok(posting) => {
                let after = before.clone().apply(&posting).expect("what is decided can be applied");
                assert_eq!(after.used, credits(amount), "{line}: {amount}");
                moves(&posting)
            }
            Err(Refusal::InsufficientCredits { required, available, .. }) => {
                format!("needs {}, has {}", required.get(), available.get())
            }
            Err(other) => other.to_string(),
        };
        assert_eq!(summary, expected, "{line}: {amount} for {service:?}");
    }
}

fn request(amount: u64, service: &str) -> Consume {
    Consume {
        operation: Operation::try_from("verification.standard".to_owned()).unwrap(),
        amount: credits(amount),
        service: Service::ALL.into_iter().find(|known| service_name(*known) == service),
    }
}

#[test]
fn an_unlimited_debit_only_changes_usage_and_spent_credits() {
    let before = account("unlimited, purchased 3");
    let posting = consume(&before, &request(7, ""), &attempt(99, at(NOW))).unwrap();
    let after = before.clone().apply(&posting).unwrap();
    assert_eq!(after.used, credits(7));
    assert_eq!((after.lots, after.subscription.left), (before.lots, before.subscription.left));
    // The spent credits are counted, for a later change of plan.
    assert_eq!((before.subscription.spent(), after.subscription.spent()), (Credits::ZERO, credits(7)));
}

#[test]
fn an_older_decision_is_written_only_where_its_guards_hold() {
    let decide = |account: &Account, amount, number| {
        consume(account, &request(amount, ""), &attempt(number, at(NOW))).unwrap()
    };
    let seen = account("sub 5, purchased 3");
    // Two debits that both fit are both written, in either order.
    let (one, other) = (decide(&seen, 2, 98), decide(&seen, 3, 99));
    assert!(seen.clone().apply(&one).unwrap().apply(&other).is_some());
    assert!(seen.clone().apply(&other).unwrap().apply(&one).is_some());
    // A third does not fit any more.
    assert!(seen.clone().apply(&one).unwrap().apply(&other).unwrap().apply(&one).is_none());
    // A debit that empties a lot and continues with the next needs the lot as it was read.
    let across = decide(&seen, 6, 97);
    assert!(seen.clone().apply(&across).is_some());
    assert!(seen.clone().apply(&one).unwrap().apply(&across).is_none());
    // A lot that was added since may come before the one that pays.
    let granted = super::grant::give(&seen, "bonus", 1, 50);
    assert!(seen.clone().apply(&granted).unwrap().apply(&one).is_none());
    // A fence at or above the attempt's id refuses it permanently.
    let fenced = seen.clone().apply(&fence(&seen, id(99), id(100), at(NOW))).unwrap();
    assert!(fenced.clone().apply(&one).is_none());
    let later = consume(&fenced, &request(2, ""), &attempt(101, at(NOW))).unwrap();
    assert!(fenced.apply(&later).is_some());
}

#[test]
fn quantity_times_price_stays_in_range() {
    let priced = |price: u64, quantity: u64| {
        let price = Price { version: 1, credits: credits(price), effective_from: at(NOW) };
        let operation = Operation::try_from("x".to_owned()).unwrap();
        Consume::priced(operation, price, Quantity::try_from(quantity).unwrap(), None)
            .map(|request| request.amount.get())
    };
    assert_eq!(priced(2, 3), Ok(6));
    assert_eq!(priced(0, 1_000_000), Ok(0));
    assert_eq!(priced(Price::MAX, Quantity::MAX), Ok(Amount::MAX));
    assert_eq!(priced(Price::MAX + 1, Quantity::MAX), Err(Refusal::BalanceLimit));
    assert_eq!(priced(u64::from(Credits::MAX), 3), Err(Refusal::BalanceLimit));
}

#[test]
fn a_price_is_effective_until_the_next_one() {
    let mut list = PriceList::default();
    let price =
        |version, count, from: &str| Price { version, credits: credits(count), effective_from: at(from) };
    let prices = vec![price(1, 1, "2024-01-01T00:00:00Z"), price(2, 5, "2024-02-01T00:00:00Z")];
    let operation = Operation::try_from("aml.pep".to_owned()).unwrap();
    list.insert(operation, PricedOperation { category: PriceCategory::Aml, monthly: false, prices });
    for (when, expected) in [
        ("2023-12-31T23:59:59Z", None),
        ("2024-01-01T00:00:00Z", Some((1, 1))),
        ("2024-01-31T23:59:59Z", Some((1, 1))),
        ("2024-02-01T00:00:00Z", Some((2, 5))),
        ("2030-01-01T00:00:00Z", Some((2, 5))),
    ] {
        let name = Reference::try_from("aml.pep".to_owned()).unwrap();
        let summary = list.price(&name, at(when)).ok().map(|(_, price)| (price.version, price.credits.get()));
        assert_eq!(summary, expected, "{when}");
    }
    let unknown = Reference::try_from("Aml Pep".to_owned()).unwrap();
    assert_eq!(list.price(&unknown, at(NOW)), Err(Refusal::UnknownOperation(unknown)));
}
