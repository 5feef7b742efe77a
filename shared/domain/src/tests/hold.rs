//! Tests of holds: duration, status, and what is left to capture or release.

use super::*;

fn request(amount: u64) -> Consume {
    let operation = Operation::try_from("x".to_owned()).unwrap();
    Consume { operation, amount: credits(amount), service: None }
}

/// The remainder of a hold of 8 that ends at 11:00.
fn held() -> Remainder {
    let posting = hold(&account("sub 5, bonus 4"), &request(8), &attempt(9, at(NOW))).unwrap();
    let receipt = Receipt {
        entry: posting.entry,
        sequence: 1,
        details: Details { expires_at: Some(at("2024-01-15T11:00:00Z")), ..Details::default() },
        balance: account("").balance(at(NOW)),
    };
    Remainder::of(&receipt)
}

/// The remainder after a drawdown for `why` of `amount` credits, or of everything left.
fn drawn(remainder: Remainder, why: DrawdownReason, amount: Option<u64>, number: u64) -> Remainder {
    let part = match why {
        DrawdownReason::Capture => remainder.to_capture(amount.map(credits), at(NOW)).unwrap(),
        DrawdownReason::Release | DrawdownReason::Expiry | DrawdownReason::Refund { .. } => {
            remainder.to_release(&why, at(NOW)).unwrap()
        }
    };
    let drawn = Drawn { of: remainder.of, why, shares: part.shares };
    let key = ClaimKey::Caller(IdempotencyKey::try_from(format!("d{number}")).unwrap());
    let details = Details { drawn: Some(drawn), ..Details::default() };
    let drawdown = PendingDrawdown { key, asked: Fingerprint("x".to_owned()), details, closes: part.closes };
    remainder.with(drawdown).unwrap().posted(id(number)).unwrap()
}

/// A hold lasts at least as long as requested, and ends at a whole second.
#[test]
fn a_hold_ends_at_a_whole_second() {
    assert_eq!(HOLD_SECONDS_MAX, 2_678_400);
    for (now, seconds, end) in [
        ("2024-01-15T10:30:00Z", 60, "2024-01-15T10:31:00Z"),
        ("2024-01-15T10:30:00.001Z", 60, "2024-01-15T10:31:01Z"),
        ("2024-01-15T10:30:00.999Z", 1, "2024-01-15T10:30:02Z"),
        ("2024-01-15T10:30:00Z", HOLD_SECONDS_MAX, "2024-02-15T10:30:00Z"),
    ] {
        assert_eq!(hold_ends(at(now), seconds), at(end), "{now}, {seconds}");
    }
}

/// drawdowns in order; the instant => status, captured credits
#[test]
fn a_holds_status_follows_from_its_drawdowns() {
    let before = "2024-01-15T10:59:59Z";
    for (draws, now, status, captured) in [
        (vec![], before, "held", 0),
        (vec![], "2024-01-15T11:00:00Z", "expired", 0),
        (vec![(DrawdownReason::Capture, Some(3))], before, "held", 3),
        (vec![(DrawdownReason::Capture, Some(3))], "2024-01-15T11:00:00Z", "expired", 3),
        (
            vec![(DrawdownReason::Capture, Some(3)), (DrawdownReason::Capture, None)],
            "2024-01-15T11:00:00Z",
            "captured",
            8,
        ),
        (vec![(DrawdownReason::Capture, Some(3)), (DrawdownReason::Release, None)], before, "released", 3),
        (vec![(DrawdownReason::Expiry, None)], before, "expired", 0),
    ] {
        let summary = format!("{draws:?} at {now}");
        let remainder = (10..)
            .zip(draws)
            .fold(held(), |remainder, (number, (why, amount))| drawn(remainder, why, amount, number));
        let (actual, taken) = (remainder.status(at(now)), remainder.captured().get());
        assert_eq!((actual.as_str(), taken), (status, captured), "{summary}");
    }
}

/// At most the held credits can be captured, and nothing of a closed hold.
#[test]
fn only_held_credits_can_be_captured() {
    let remainder = held();
    let closes = |amount| remainder.to_capture(Some(credits(amount)), at(NOW)).map(|part| part.closes);
    assert_eq!((closes(7), closes(8)), (Ok(false), Ok(true)));
    assert_eq!(closes(9), Err(Refusal::MoreThanHeld { required: credits(9), available: credits(8) }));
    let late = at("2024-01-15T11:00:00Z");
    assert_eq!(remainder.to_capture(None, late), Err(Refusal::HoldClosed(HoldStatus::Expired)));
    assert_eq!(
        remainder.to_release(&DrawdownReason::Release, late),
        Err(Refusal::HoldClosed(HoldStatus::Expired))
    );
    assert!(remainder.to_release(&DrawdownReason::Expiry, late).is_ok());
    let released = drawn(remainder, DrawdownReason::Release, None, 10);
    let twice = released.to_release(&DrawdownReason::Expiry, at(NOW));
    assert_eq!(twice, Err(Refusal::HoldClosed(HoldStatus::Released)));
}
