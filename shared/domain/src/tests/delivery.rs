//! Tests of deliveries and their ids.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use chrono::Duration;
use proptest::prelude::*;

use super::*;
use crate::{DeliveryOutcome, LaneEvent, WebhookStatus};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_705_312_800, 0).unwrap()
}

fn id(random: u128) -> DeliveryId {
    DeliveryId::new(now(), random)
}

/// A delivery in the log.
fn line(id: DeliveryId, status: DeliveryStatus) -> Delivery {
    Delivery {
        id,
        event_id: "evt_1".to_owned(),
        number: 5,
        event: "credits.depleted".to_owned(),
        kind: DeliveryKind::Event,
        status,
        created_at: now(),
        next: None,
        request: SentRequest { url: String::new(), headers: vec![], body: String::new() },
        response: None,
        attempts: vec![],
        attempts_max: None,
    }
}

/// A change of an endpoint's state.
type Change = fn(&DeliveryState) -> DeliveryState;

/// An endpoint that has failed once on each lane, with deliveries 1 and 2.
fn failing() -> DeliveryState {
    let state = DeliveryState::new(4).replaying(0, 3);
    let state = state.beginning(DeliveryLane::Live, id(1)).beginning(DeliveryLane::Replay, id(2));
    let state = state.after(LaneEvent::live(5), DeliveryOutcome::Failed(None), now(), 0);
    state.after(LaneEvent::replay(1), DeliveryOutcome::Failed(None), now(), 0)
}

/// change of the endpoint => deliveries on the live and the replay lane: w waits, p waits without a time, s
/// superseded
#[test]
fn a_delivery_waits_as_long_as_its_endpoint_retries_it() {
    let states: [(&str, Change, &str); 15] = [
        ("nothing", DeliveryState::clone, "ww"),
        ("leased", |state| state.leased(7, now()), "ww"),
        ("rewound", |state| state.from_after(0), "sw"),
        ("passed over", |state| state.from_after(5), "sw"),
        ("not wanted any more", |state| state.past(DeliveryLane::Live, 5), "sw"),
        ("moved", DeliveryState::unhindered, "ss"),
        ("gone", |state| state.after(LaneEvent::replay(1), DeliveryOutcome::Gone, now(), 0), "ss"),
        ("narrowed", |state| state.unwanted(DeliveryLane::Live, 5).unwanted(DeliveryLane::Replay, 1), "ss"),
        (
            "narrowed elsewhere",
            |state| state.unwanted(DeliveryLane::Live, 6).unwanted(DeliveryLane::Replay, 2),
            "ww",
        ),
        (
            "let go of",
            |state| state.not_begun(DeliveryLane::Live).not_begun(DeliveryLane::Replay).free(),
            "ww",
        ),
        ("paused", DeliveryState::paused, "ss"),
        ("paused and resumed", |state| state.paused().resumed(), "ss"),
        ("another range", |state| state.replaying(1, 3), "ws"),
        ("out of the feed", |state| state.past(DeliveryLane::Replay, 3), "ws"),
        (
            "begun again",
            |state| state.beginning(DeliveryLane::Live, id(3)).beginning(DeliveryLane::Replay, id(4)),
            "ww",
        ),
    ];
    for (summary, change, expected) in states {
        let state = change(&failing());
        let seen = [1, 2].map(|of| {
            let seen = line(id(of), DeliveryStatus::Retrying).by(&state);
            match (seen.status, seen.next) {
                (DeliveryStatus::Retrying, Some(_)) => 'w',
                (DeliveryStatus::Retrying, None) => 'p',
                (DeliveryStatus::Superseded, None) => 's',
                (other, next) => panic!("{summary}: {other:?} {next:?}"),
            }
        });
        assert_eq!(String::from_iter(seen), expected, "{summary}");
    }
}

/// An attempt was in progress when its event was skipped: it affects neither the wait nor the failures of the
/// next event.
#[test]
fn an_attempt_at_a_skipped_event_does_not_count() {
    let narrowed = failing().unwanted(DeliveryLane::Live, 5).unwanted(DeliveryLane::Replay, 1);
    assert_eq!(narrowed.after(LaneEvent::live(5), DeliveryOutcome::Failed(None), now(), 0), narrowed);
    assert_eq!(narrowed.after(LaneEvent::replay(1), DeliveryOutcome::Failed(None), now(), 0), narrowed);
    let next = narrowed.after(LaneEvent::live(6), DeliveryOutcome::Failed(None), now(), 0);
    assert_eq!((next.failures, next.through), (1, 5));
}

#[test]
fn a_final_status_stays() {
    for status in
        [DeliveryStatus::Succeeded, DeliveryStatus::Failed, DeliveryStatus::Skipped, DeliveryStatus::Aborted]
    {
        for of in [1, 9] {
            assert_eq!(line(id(of), status).by(&failing()), line(id(of), status));
        }
    }
}

/// Attempts at a new URL count from the first. An attempt in progress at the old URL does not count among them;
/// the very first attempt does, because nothing has failed yet.
#[test]
fn a_new_url_starts_a_new_run_after_failures() {
    let moved = failing().unhindered();
    assert_eq!((moved.failures, moved.retry_at, moved.delivery), (0, None, None));
    assert!(
        !moved.goes_on(DeliveryLane::Live, &failing()) && !moved.goes_on(DeliveryLane::Replay, &failing())
    );
    let again = moved.replay.unwrap();
    assert_eq!((again.failures, again.retry_at, again.delivery, again.run), (0, None, None, moved.replays));
    let first = DeliveryState::new(4).beginning(DeliveryLane::Live, id(1));
    assert_eq!(first.unhindered(), first);
    // There is no delivery in the log either: a worker that releases the lease without an attempt leaves none.
    assert_eq!(first.not_begun(DeliveryLane::Live), DeliveryState::new(4));
    // An attempt is in progress: its outcome is not that of the new URL.
    let leased = first.leased(7, now());
    assert!(!leased.unhindered().goes_on(DeliveryLane::Live, &leased));
    // No attempt is in progress on a stopped endpoint: it is only restarted when it is resumed.
    for status in
        [WebhookStatus::Paused, WebhookStatus::Failing, WebhookStatus::Gone, WebhookStatus::SecretUnreadable]
    {
        let stopped = DeliveryState { status, ..failing() };
        assert_eq!((stopped.unhindered().run, stopped.unhindered().failures), (stopped.run, 0));
    }
}

proptest! {
    /// Ids sort by the account's time, and by the machine's clock where that stands still.
    #[test]
    fn ids_sort_in_the_order_in_which_deliveries_begin(
        (one, next) in (0i64..2_000_000_000_000, 0i64..2_000_000_000_000),
        (wall, more) in (0i64..2_000_000_000_000_000, 1i64..1_000_000),
        (first, second) in (any::<u128>(), any::<u128>()),
    ) {
        let at = |milliseconds| DateTime::from_timestamp_millis(milliseconds).unwrap();
        let wall = DateTime::from_timestamp_micros(wall).unwrap();
        let later = wall + Duration::microseconds(more);
        let (first, second) =
            (DeliveryId::begun(at(one), wall, first), DeliveryId::begun(at(next), later, second));
        prop_assert_eq!(first.cmp(&second), one.cmp(&next).then(std::cmp::Ordering::Less));
        prop_assert_eq!(first.time(), at(one));
    }
}
