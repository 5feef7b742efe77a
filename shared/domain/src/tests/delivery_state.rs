//! Tests of the state of deliveries.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use proptest::prelude::*;

use super::*;
use crate::webhook::backoff::RETRY_SECONDS;
use crate::{ATTEMPTS_MAX, DeliveryOutcome, LaneEvent};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_705_312_800, 0).unwrap()
}

fn failed(state: &DeliveryState, chance: u16) -> DeliveryState {
    state.after(LaneEvent::live(state.through + 1), DeliveryOutcome::Failed(None), now(), chance)
}

#[test]
fn waits_are_those_of_standard_webhooks_and_then_it_is_paused() {
    let mut state = DeliveryState::new(4);
    let mut waits = Vec::new();
    while state.status == WebhookStatus::Active {
        state = failed(&state, 0);
        waits.extend(state.retry_at.map(|at| (at - now()).num_seconds()));
    }
    assert_eq!(waits, [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
    assert_eq!((state.status, state.failures, state.through), (WebhookStatus::Failing, ATTEMPTS_MAX, 4));
    assert_eq!(state.stopped_at, Some(5));
    // When its owner resumes it, it continues with the same event.
    let resumed = state.resumed();
    assert_eq!(
        (resumed.status, resumed.failures, resumed.through, resumed.run),
        (WebhookStatus::Active, 0, 4, 1)
    );
    assert!(resumed.is_open(now(), now()) && resumed.stopped_at.is_none());
}

/// Retry-After in seconds; earlier attempts => the wait
#[test]
fn an_endpoint_may_ask_for_a_longer_wait() {
    for (asked, before, wait) in [
        (None, 0, 5),
        (Some(3), 0, 5),
        (Some(120), 0, 120),
        (Some(120), 2, 1_800),
        (Some(u32::MAX), 0, 3_600),
    ] {
        let state = DeliveryState { failures: before, ..DeliveryState::new(0) };
        let next = state.after(LaneEvent::live(1), DeliveryOutcome::Failed(asked), now(), 0);
        assert_eq!((next.retry_at.unwrap() - now()).num_seconds(), wait, "{asked:?} {before}");
    }
}

#[test]
fn an_accepted_event_is_done_and_resets_failures() {
    let state = failed(&failed(&DeliveryState::new(4), 0), 0);
    let taken = state.after(LaneEvent::live(5), DeliveryOutcome::Taken, now(), 0);
    assert_eq!((taken.through, taken.failures, taken.retry_at), (5, 0, None));
}

#[test]
fn an_endpoint_that_is_gone_is_paused_immediately() {
    let gone = DeliveryState::new(4).after(LaneEvent::live(5), DeliveryOutcome::Gone, now(), 0);
    assert_eq!((gone.status, gone.through), (WebhookStatus::Gone, 4));
    assert_eq!(gone.stopped_at, Some(5));
    assert_eq!(gone.paused().status, WebhookStatus::Gone, "its owner can't make it less gone by pausing it");
}

#[test]
fn a_pause_by_the_owner_is_kept() {
    let paused = DeliveryState { failures: 9, ..DeliveryState::new(4) }.paused();
    for outcome in [DeliveryOutcome::Failed(None), DeliveryOutcome::Gone] {
        let next = paused.after(LaneEvent::live(5), outcome, now(), 0);
        assert_eq!((next.status, next.stopped_at), (WebhookStatus::Paused, None));
    }
    assert_eq!(paused.after(LaneEvent::live(5), DeliveryOutcome::Taken, now(), 0).through, 5);
}

#[test]
fn a_replay_ends_with_its_range() {
    let state = DeliveryState::new(9).replaying(1, 3);
    let second = state.after(LaneEvent::replay(2), DeliveryOutcome::Taken, now(), 0);
    assert_eq!((second.through, second.replay.map(|left| left.through)), (9, Some(2)));
    assert_eq!(second.after(LaneEvent::replay(3), DeliveryOutcome::Taken, now(), 0).replay, None);
}

/// A replay that fails neither delays new events nor pauses the endpoint.
#[test]
fn a_failing_replay_is_given_up() {
    let mut state = DeliveryState::new(9).replaying(1, 3);
    for _ in 0..9 {
        state = state.after(LaneEvent::replay(2), DeliveryOutcome::Failed(None), now(), 0);
        assert!(state.may_send(DeliveryLane::Live, now()) && !state.may_send(DeliveryLane::Replay, now()));
        assert_eq!((state.failures, state.failures(DeliveryLane::Live)), (0, 0));
    }
    assert_eq!(state.failures(DeliveryLane::Replay), 9);
    let state = state.after(LaneEvent::replay(2), DeliveryOutcome::Failed(None), now(), 0);
    assert_eq!((state.status, state.replay), (WebhookStatus::Active, None));
}

/// The owner restarts a lane while an attempt is in progress: its outcome belongs to the previous run.
#[test]
fn a_restarted_lane_is_another_run() {
    let seen = DeliveryState::new(9).replaying(0, 5);
    assert!(seen.goes_on(DeliveryLane::Live, &seen) && seen.goes_on(DeliveryLane::Replay, &seen));
    assert!(!seen.from_after(0).goes_on(DeliveryLane::Live, &seen));
    assert!(!seen.resumed().goes_on(DeliveryLane::Live, &seen));
    let again = seen.replaying(0, 2);
    assert!(again.goes_on(DeliveryLane::Live, &seen) && !again.goes_on(DeliveryLane::Replay, &seen));
}

#[test]
fn a_lease_excludes_other_workers() {
    let state = DeliveryState::new(0);
    let leased = state.leased(7, now());
    assert!(leased.is_held_by(7) && !leased.is_held_by(8) && !leased.free().is_held_by(7));
    assert!(!leased.is_open(now(), now()));
    assert!(leased.is_open(now(), now() + Duration::seconds(LEASE_SECONDS)));
    assert!(leased.free().is_open(now(), now()));
}

proptest! {
    /// A wait is never shorter than scheduled, and at most a tenth longer.
    #[test]
    fn jitter_only_makes_a_wait_longer(before in 0u32..9, chance in 0u16..=u16::MAX) {
        let state = DeliveryState { failures: before, ..DeliveryState::new(0) };
        let wait = RETRY_SECONDS[before as usize] * 1_000;
        let next = (failed(&state, chance).retry_at.unwrap() - now()).num_milliseconds();
        prop_assert!((wait..=wait + wait / 10).contains(&next), "{next}");
    }
}
