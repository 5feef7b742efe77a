//! Tests of drawdowns from a remainder, and of the rules of refunds.

use super::*;

fn share(lot: u64, count: u64) -> Share {
    Share {
        lot: LotId::Granted(id(lot)),
        source: Source::Bonus,
        amount: credits(count),
        terms: Terms::default(),
    }
}

/// The remainder of a transaction that took 5 and 3 of two lots.
fn remainder() -> Remainder {
    Remainder {
        of: id(1),
        rest: vec![share(2, 5), share(3, 3)],
        ends: None,
        made: vec![],
        paged: 0,
        open: None,
        closed: false,
        revision: 0,
    }
}

fn drawdown(name: &str, shares: Vec<Share>, closes: bool) -> PendingDrawdown {
    let drawn = Some(Drawn { of: id(1), why: DrawdownReason::Capture, shares });
    let key = ClaimKey::Caller(IdempotencyKey::try_from(name.to_owned()).unwrap());
    let details = Details { drawn, ..Details::default() };
    PendingDrawdown { key, asked: Fingerprint(name.to_owned()), details, closes }
}

fn left(remainder: &Remainder) -> Vec<u64> {
    remainder.rest.iter().map(|rest| rest.amount.get()).collect()
}

/// A drawdown is found by its claim key while open, and by its transaction once posted.
#[test]
fn a_drawdown_is_found_by_its_key_and_transaction() {
    let taken = remainder().with(drawdown("a", vec![share(2, 4)], false)).unwrap();
    let key = |name: &str| ClaimKey::Caller(IdempotencyKey::try_from(name.to_owned()).unwrap());
    assert_eq!(taken.open_under(&key("a")).map(PendingDrawdown::amount), Some(credits(4)));
    assert_eq!(taken.open_under(&key("b")), None);
    let made = taken.posted(id(7)).unwrap();
    assert!(made.has_made(id(7)) && !made.has_made(id(8)));
}

/// The credits that can be drawn from a transaction: those that it moved; for a capture, those that its hold
/// had taken for it.
#[test]
fn a_capture_can_refund_what_its_hold_took() {
    let debit = consume(&account("sub 5, bonus 3"), &request(7), &attempt(9, at(NOW))).unwrap();
    let receipt = |drawn: Option<Drawn>| Receipt {
        entry: debit.entry.clone(),
        sequence: 1,
        details: Details { drawn, ..Details::default() },
        balance: account("").balance(at(NOW)),
    };
    let rest = |why: Option<DrawdownReason>| {
        let shares = vec![share(2, 4)];
        let drawn = why.map(|why| Drawn { of: id(1), why, shares });
        left(&Remainder::of(&receipt(drawn)))
    };
    assert_eq!(rest(None), [5, 2]);
    assert_eq!(rest(Some(DrawdownReason::Capture)), [4]);
    assert_eq!(rest(Some(DrawdownReason::Release)), [5, 2]);
}

fn request(amount: u64) -> Consume {
    let operation = Operation::try_from("x".to_owned()).unwrap();
    Consume { operation, amount: credits(amount), service: None }
}

#[test]
fn a_drawdown_is_taken_and_posted_or_cancelled() {
    let taken = remainder().with(drawdown("a", vec![share(2, 4), share(3, 1)], false)).unwrap();
    assert_eq!((left(&taken), taken.drawn().get(), taken.parts()), (vec![1, 2], 5, 1));
    let back = taken.clone().without_open().unwrap();
    assert_eq!(back, remainder());
    let made = taken.posted(id(7)).unwrap();
    assert_eq!(made.made, [Drawdown { id: id(7), amount: credits(5), cause: DrawdownKind::Capture }]);
    assert!(made.open.is_none() && made.has_made(id(7)) && !made.closed);
    let last = made.with(drawdown("b", vec![share(2, 1), share(3, 2)], true)).unwrap();
    assert_eq!(
        (last.closed, last.closed_by(), last.left()),
        (true, Some(DrawdownKind::Capture), Credits::ZERO)
    );
    let ended = last.clone().posted(id(8)).unwrap();
    let first = ended.clone().as_of(id(7));
    assert_eq!((first.made.len(), first.closed), (1, false));
    assert_eq!(ended.clone().as_of(id(8)), ended);
    // Once it is cancelled, the remainder is open again.
    assert!(!last.without_open().unwrap().closed);
}

/// Requests cannot cause this, but each case is a fault.
#[test]
fn an_inconsistent_drawdown_is_a_fault() {
    let misfit = DrawdownMismatch { of: id(1) };
    for shares in [vec![share(2, 6)], vec![share(4, 1)], vec![share(3, 1), share(3, 3)]] {
        assert_eq!(remainder().with(drawdown("a", shares, false)), Err(DrawdownError::Misfit(misfit)));
    }
    // A lot with other terms is another lot.
    let purchased = Share { source: Source::Purchased, ..share(2, 1) };
    assert_eq!(remainder().with(drawdown("a", vec![purchased], false)), Err(DrawdownError::Misfit(misfit)));
    let taken = remainder().with(drawdown("a", vec![share(2, 1)], false)).unwrap();
    assert_eq!(
        taken.clone().with(drawdown("b", vec![share(2, 1)], false)),
        Err(DrawdownError::Misfit(misfit))
    );
    assert_eq!(remainder().posted(id(7)), Err(misfit));
    assert_eq!(remainder().without_open(), Err(misfit));
    let full = Remainder { rest: vec![Share { amount: Credits::MAX, ..share(2, 0) }, share(3, 3)], ..taken };
    assert_eq!(full.without_open(), Err(misfit));
    assert_eq!(remainder().landed(&drawdown("a", vec![share(4, 1)], false), id(7)), Err(misfit));
}

/// A drawdown that was cancelled but posted nevertheless is taken again, as far as credits are left.
#[test]
fn a_cancelled_drawdown_that_is_posted_is_recorded() {
    let late = drawdown("a", vec![share(2, 4), share(3, 1)], false);
    for (others, overdrawn, rest) in
        [(vec![], 0, vec![1, 2]), (vec![share(2, 1), share(3, 3)], 1, vec![0, 0])]
    {
        let remainder = remainder().with(drawdown("b", others, false)).unwrap();
        let landed = remainder.landed(&late, id(7)).unwrap();
        assert_eq!((landed.overdrawn.get(), left(&landed.remainder)), (overdrawn, rest));
        assert!(landed.remainder.has_made(id(7)) && landed.remainder.open.is_some());
    }
    // It closes the remainder if it was the last one, and does not reopen one that another drawdown has closed.
    for (is_closed, closes, closed) in [(false, false, false), (false, true, true), (true, false, true)] {
        let remainder = Remainder { closed: is_closed, ..remainder() };
        let landed = remainder.landed(&drawdown("a", vec![share(2, 4)], closes), id(7)).unwrap();
        assert_eq!(landed.remainder.closed, closed, "{is_closed}, {closes}");
    }
}

#[test]
fn a_remainder_has_at_most_a_hundred_drawdowns() {
    let mut remainder = Remainder { rest: vec![share(2, 1_000)], ..remainder() };
    for number in 1..DRAWDOWNS_MAX {
        let part = remainder.with(drawdown("a", vec![share(2, 1)], false)).unwrap();
        remainder = part.posted(id(u64::try_from(number).unwrap())).unwrap();
    }
    let more = remainder.clone().with(drawdown("a", vec![share(2, 1)], false));
    assert_eq!(more, Err(DrawdownError::Refused(Refusal::TooManyDraws)));
    assert!(remainder.with(drawdown("a", vec![share(2, 901)], true)).is_ok());
}

/// authority, reason and time => the decision
#[test]
fn a_refund_follows_the_rules() {
    use super::super::{DuplicateOf, Refund, RefundAuthority};

    let posting = consume(
        &account("sub 9"),
        &Consume {
            operation: Operation::try_from("x".to_owned()).unwrap(),
            amount: credits(4),
            service: None,
        },
        &attempt(5, at(NOW)),
    );
    let account = account("sub 9").apply(&posting.unwrap()).unwrap();
    let resource_id = Reference::try_from("verif_1".to_owned()).ok();
    let debit = account.receipts(Details { resource_id, ..Details::default() }).remove(0);
    let refund = |by, reason, duplicate_of| Refund {
        transaction: debit.entry.id,
        reason,
        amount: None,
        note: None,
        duplicate_of,
        by,
    };
    let (last, late) = (at("2024-02-15T10:29:59Z"), at("2024-02-15T10:30:00Z"));
    let (failure, duplicate) = (RefundReason::TechnicalFailure, RefundReason::DuplicateOperation);
    for (by, reason, named, now, expected) in [
        (RefundAuthority::Table, failure, None, last, Some(DuplicateOf::NotNeeded(None))),
        (RefundAuthority::Table, failure, None, late, None),
        (RefundAuthority::Table, duplicate, None, last, Some(DuplicateOf::Latest)),
        (RefundAuthority::Table, duplicate, Some(id(3)), last, Some(DuplicateOf::Named(id(3)))),
        (RefundAuthority::Table, duplicate, Some(id(3)), late, None),
        (RefundAuthority::Table, RefundReason::FalsePositive, None, last, None),
        (RefundAuthority::Policy, failure, None, last, None),
        (
            RefundAuthority::Operator,
            RefundReason::FalsePositive,
            None,
            late,
            Some(DuplicateOf::NotNeeded(None)),
        ),
        (RefundAuthority::Operator, duplicate, Some(id(3)), late, Some(DuplicateOf::NotNeeded(Some(id(3))))),
    ] {
        let summary = refund(by, reason, named).of(&debit, now).ok();
        assert_eq!(summary, expected, "{by:?} {reason:?} {now}");
    }
    let settled =
        Receipt { details: Details { settle_by: Some(last), ..debit.details.clone() }, ..debit.clone() };
    assert!(refund(RefundAuthority::Policy, failure, None).of(&settled, at(NOW)).is_ok());
    let unnamed = Receipt { details: Details::default(), ..debit.clone() };
    assert!(refund(RefundAuthority::Table, duplicate, None).of(&unnamed, at(NOW)).is_err());
}

/// Refunds return the credits that were taken last; captures spend those that were taken first.
#[test]
fn a_remainder_is_drawn_first_in_first_out_or_last_in_first_out() {
    let remainder = Remainder {
        of: id(1),
        rest: super::restore::shares("sub 5, lot2 3, lot3 2"),
        ends: None,
        made: vec![],
        paged: 0,
        open: None,
        closed: false,
        revision: 0,
    };
    let summary = |shares: Option<Vec<Share>>| {
        shares.map(|shares| shares.iter().map(|share| share.amount.get()).collect::<Vec<_>>())
    };
    for (amount, first, last) in [
        (0, Some(vec![]), Some(vec![])),
        (4, Some(vec![4]), Some(vec![2, 2])),
        (6, Some(vec![5, 1]), Some(vec![1, 3, 2])),
        (10, Some(vec![5, 3, 2]), Some(vec![5, 3, 2])),
        (11, None, None),
    ] {
        assert_eq!(
            summary(remainder.next(credits(amount), DrawOrder::First)),
            first,
            "{amount} from the first"
        );
        assert_eq!(summary(remainder.next(credits(amount), DrawOrder::Last)), last, "{amount} from the last");
    }
    let two = remainder.next(credits(4), DrawOrder::Last).unwrap();
    assert_eq!(two[0].lot, LotId::Granted(id(2)), "in the order in which they were taken");
}
