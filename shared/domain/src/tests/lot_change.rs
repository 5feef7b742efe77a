//! What transactions change of lots besides usage.

use super::*;

fn receipt(before: &Account, posting: &Posting, details: Details) -> Receipt {
    before.clone().apply(posting).unwrap().receipts(details).remove(0)
}

/// The changes of a transaction as text; lots are numbered as in the account's line.
fn changes(receipt: &Receipt) -> Vec<String> {
    let text = |change: &LotChange| {
        let lot = match change.lot {
            LotId::Granted(lot) => {
                (0..20).find(|number| id(*number) == lot).map_or("new".to_owned(), |n| n.to_string())
            }
            LotId::Subscription(month) => month.to_string(),
            LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => change.lot.to_string(),
        };
        let kind = match change.kind {
            LotChangeKind::Arrived(Arrival::Granted) => "granted",
            LotChangeKind::Arrived(Arrival::Bought { .. }) => "bought",
            LotChangeKind::Arrived(Arrival::FromLot(_)) => "from a lot",
            LotChangeKind::Returned => "returned",
            LotChangeKind::Expired => "expired",
            LotChangeKind::Withdrawn => "withdrawn",
            LotChangeKind::Moved => "moved",
        };
        format!("{lot} {kind} {}", change.amount.get())
    };
    LotChange::of(receipt).iter().map(text).collect()
}

/// The refund or the release of all that a debit of `amount` took, at another time.
fn given_back(
    line: &str,
    amount: u64,
    why: DrawdownReason,
    later: &str,
    then: impl Fn(Account) -> Account,
) -> Vec<String> {
    let before = account(line);
    let operation = Operation::try_from("aml.pep".to_owned()).unwrap();
    let request = Consume { operation, amount: credits(amount), service: None };
    let posting = consume(&before, &request, &attempt(99, at(NOW))).unwrap();
    let debit = receipt(&before, &posting, Details::default());
    let shares: Vec<_> = debit.entry.moves.iter().map(Share::from).collect();
    let after = then(before.apply(&posting).unwrap());
    let back = Restore { shares: shares.clone(), why: why.clone(), month: Period::of(at(NOW)) };
    let posting = restore(&after, &back, &attempt(120, at(later))).unwrap();
    let drawn = Some(Drawn { of: debit.entry.id, why, shares });
    changes(&receipt(&after, &posting, Details { drawn, ..Details::default() }))
}

fn refund() -> DrawdownReason {
    DrawdownReason::Refund { reason: RefundReason::TechnicalFailure, note: None, twin: None }
}

#[test]
fn debits_and_refunds_to_the_same_lots_are_no_changes() {
    let same = |account| account;
    let nothing: Vec<String> = vec![];
    assert_eq!(given_back("sub 5, purchased 3, bonus 2", 9, refund(), "2024-01-15T11:00:00Z", same), nothing);
    let before = account("sub 5, purchased 3");
    for amount in [0, 4, 8] {
        let operation = Operation::try_from("aml.pep".to_owned()).unwrap();
        let request = Consume { operation, amount: credits(amount), service: None };
        let posting = consume(&before, &request, &attempt(99, at(NOW))).unwrap();
        assert_eq!(changes(&receipt(&before, &posting, Details::default())), nothing, "{amount}");
    }
}

#[test]
fn a_refund_to_another_lot_moves_its_credits() {
    // The bonus credits have expired when they come back, so they get a lot of their own.
    let moved =
        given_back("bonus 4 until 2024-01-20", 3, refund(), "2024-01-25T00:00:00Z", |account| account);
    assert_eq!(moved, ["1 moved 3", "new from a lot 3"]);
    // A purchase that is disputed meanwhile: what comes back is set aside.
    let disputed = given_back("purchased 10", 4, refund(), "2024-01-15T11:00:00Z", |account| {
        let bought = PurchasedCredits {
            credits: credits(10),
            lot: Some((id(1), credits(10))),
            terms: Terms::default(),
        };
        let posting = dispute_opened(&account, &bought, &attempt(110, at(NOW))).unwrap();
        account.apply(&posting).unwrap()
    });
    assert_eq!(disputed, ["1 withdrawn 4"]);
}

#[test]
fn grants_withdrawals_and_expiries_are_changes() {
    let before = account("sub 5, purchased 3, bonus 2 until 2024-01-20");
    let attempt = attempt(99, at(NOW));
    let bought =
        PurchasedCredits { credits: credits(3), lot: Some((id(2), credits(3))), terms: Terms::default() };
    let opened = dispute_opened(&before, &bought, &attempt).unwrap();
    let take = Adjustment { direction: Direction::Debit, amount: Amount::try_from(6).unwrap(), source: None };
    let give = Grant {
        source: Source::Bonus,
        amount: Amount::try_from(4).unwrap(),
        service: None,
        expires_at: None,
        origin: GrantOrigin::Operator,
    };
    for (posting, expected) in [
        (opened.clone(), vec!["2 withdrawn 3"]),
        (adjust(&before, &take, &attempt).unwrap(), vec!["2024-01 withdrawn 5", "2 withdrawn 1"]),
        (grant(&before, &give, &attempt).unwrap(), vec!["new granted 4"]),
        (due(&before, at("2024-01-21T00:00:00Z")).unwrap(), vec!["3 expired 2"]),
        (payment_refunded(&before, &bought, &attempt).unwrap(), vec!["2 withdrawn 3"]),
    ] {
        assert_eq!(changes(&receipt(&before, &posting, Details::default())), expected, "{posting:?}");
    }
    let after = before.clone().apply(&opened).unwrap();
    let won = dispute_won(&after, &bought, &opened.entry, &super::attempt(100, at(NOW))).unwrap();
    assert_eq!(changes(&receipt(&after, &won, Details::default())), ["2 returned 3"]);
    let renewed = due(&account("sub 5"), at("2024-02-01T00:00:00Z")).unwrap();
    let renewal = receipt(&account("sub 5"), &renewed, Details::default());
    assert_eq!(changes(&renewal), ["2024-01 expired 5", "2024-02 granted 10"]);
}

#[test]
fn parts_of_a_cost_are_in_proportion() {
    let cost = Cost { minor: 1_000, currency: Currency::GBP };
    for (part, whole, expected) in [(0, 3, 0), (1, 3, 333), (3, 3, 1_000), (4, 3, 1_333), (1, 0, 0)] {
        assert_eq!(cost.of_part(credits(part), credits(whole)).minor, expected, "{part} of {whole}");
    }
    let big = Cost { minor: 99_999_999, currency: Currency::GBP };
    assert_eq!(big.of_part(Credits::MAX, Credits::MAX).minor, 99_999_999);
}
