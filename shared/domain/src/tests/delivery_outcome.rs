//! Tests of what follows an attempt: skips, aborts, faults and replays.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use proptest::prelude::*;

use super::*;
use crate::webhook::backoff::RETRY_SECONDS;
use crate::{ATTEMPTS_MAX, EntryId, ReplayRequest};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_705_312_800, 0).unwrap()
}

fn skipping(number: u64, attempts: u32) -> LaneEvent {
    LaneEvent { on_failure: OnFailure::skip_after(attempts).unwrap(), ..LaneEvent::live(number) }
}

fn failing(state: &DeliveryState, event: LaneEvent, at: DateTime<Utc>) -> DeliveryState {
    state.after(event, DeliveryOutcome::Failed(None), at, 0)
}

/// Fails attempts at an event, each when it is due, until none is due; returns how many there were.
fn fail_all(state: &mut DeliveryState, event: LaneEvent, at: &mut DateTime<Utc>) -> u32 {
    for attempt in 1..=ATTEMPTS_MAX + 1 {
        *state = failing(state, event, *at);
        match state.retry_at(event.lane) {
            Some(due) => *at = due,
            None => return attempt,
        }
    }
    panic!("too many attempts: {state:?}");
}

#[test]
fn all_attempts_take_as_long_as_is_said() {
    assert_eq!(RETRY_SECONDS.iter().sum::<i64>(), ALL_ATTEMPTS_SECONDS);
}

/// Attempts that the owner allows => the event is skipped after as many, and the endpoint stays active.
#[test]
fn an_event_is_skipped_after_the_attempts_that_its_owner_allows() {
    for attempts in 1..=ATTEMPTS_MAX {
        let (mut state, mut at) = (DeliveryState::new(4), now());
        assert_eq!(fail_all(&mut state, skipping(5, attempts), &mut at), attempts);
        assert_eq!((state.status, state.through, state.failures), (WebhookStatus::Active, 5, 0));
        let skipped = state.skipped.unwrap();
        assert_eq!((skipped.count, skipped.number, skipped.at), (1, 5, at), "{attempts}");
        assert!(state.is_open(at, at) && state.stopped_at.is_none());
    }
    assert_eq!([0, ATTEMPTS_MAX + 1].map(OnFailure::skip_after), [None, None]);
}

/// Events fail one after another: they are skipped until the endpoint has accepted none for three days.
#[test]
fn an_endpoint_that_accepts_nothing_is_paused_though_it_skips() {
    for attempts in 1..=ATTEMPTS_MAX {
        let (mut state, mut at, mut number) = (DeliveryState::new(0), now(), 0);
        while state.is_active() {
            number += 1;
            fail_all(&mut state, skipping(number, attempts), &mut at);
            at += Duration::hours(1);
        }
        let skipped = state.skipped.unwrap();
        assert_eq!((state.status, state.stopped_at), (WebhookStatus::Failing, Some(number)), "{attempts}");
        assert_eq!((skipped.count, state.through), (number - 1, number - 1), "{attempts}");
        let days = (at - now()).num_days();
        assert!((3..=7).contains(&days), "{attempts}: {days} days");
        // Resumed, it has as long again.
        let resumed = failing(&state.resumed(), skipping(number, 1), at);
        assert_eq!((resumed.is_active(), resumed.skipped.unwrap().count), (true, number));
    }
}

/// What happens between two skips that are four days apart; whether the second one pauses the endpoint.
#[test]
fn only_an_endpoint_that_accepts_nothing_is_paused() {
    type Between = fn(&DeliveryState) -> DeliveryState;
    let outcome = |outcome| move |state: &DeliveryState| state.after(LaneEvent::live(2), outcome, now(), 0);
    let (taken, aborted) = (outcome(DeliveryOutcome::Taken), outcome(DeliveryOutcome::Aborted));
    assert!(failing(&taken(&skipped_once()), skipping(3, 1), later()).is_active());
    assert!(failing(&aborted(&skipped_once()), skipping(3, 1), later()).is_active());
    let others: [(&str, Between, bool); 5] = [
        ("nothing", DeliveryState::clone, false),
        ("unsubscribed events", |state| state.past(DeliveryLane::Live, 2), false),
        ("a new URL", DeliveryState::unhindered, true),
        ("another place", |state| state.from_after(2), true),
        ("a pause", |state| state.paused().resumed(), true),
    ];
    for (what, between, is_active) in others {
        let state = failing(&between(&skipped_once()), skipping(3, 1), later());
        assert_eq!(state.is_active(), is_active, "{what}");
    }
}

fn skipped_once() -> DeliveryState {
    failing(&DeliveryState::new(0), skipping(1, 1), now())
}

fn later() -> DateTime<Utc> {
    now() + Duration::days(4)
}

/// A replay skips as well, and continues with its range.
#[test]
fn a_replay_skips_and_goes_on() {
    let event = |number| LaneEvent { lane: DeliveryLane::Replay, ..skipping(number, 2) };
    let state = DeliveryState::new(9).replaying(1, 3);
    let once = failing(&state, event(2), now());
    assert_eq!((once.replay.unwrap().failures, once.skipped), (1, None));
    let skipped = failing(&once, event(2), now());
    assert_eq!((skipped.replay.unwrap().through, skipped.skipped.unwrap().number), (2, 2));
    assert_eq!((skipped.skipping_since, skipped.through), (None, 9));
    let done = failing(&failing(&skipped, event(3), now()), event(3), now());
    assert_eq!((done.replay, done.skipped.unwrap().count, done.status), (None, 2, WebhookStatus::Active));
}

#[test]
fn an_aborted_event_is_done_whatever_its_owner_allows() {
    for event in [LaneEvent::live(5), skipping(5, 1), skipping(5, 10)] {
        let state = DeliveryState { failures: 3, ..DeliveryState::new(4) };
        let next = state.after(event, DeliveryOutcome::Aborted, now(), 0);
        assert_eq!((next.through, next.failures, next.skipped), (5, 0, None));
        assert_eq!(state.status_after(event, DeliveryOutcome::Aborted, now(), 0), DeliveryStatus::Aborted);
    }
}

/// The owner allows fewer attempts than were made: the next one is due at once and is the last.
#[test]
fn a_lower_number_of_attempts_takes_effect_at_once() {
    let mut state = DeliveryState::new(0).replaying(0, 3);
    for _ in 0..3 {
        state = failing(&state, LaneEvent::live(1), now());
        state = failing(&state, LaneEvent::replay(1), now());
    }
    for (rule, is_due) in [
        (OnFailure::Block, false),
        (OnFailure::Skip { after_attempts: 4 }, false),
        (OnFailure::Skip { after_attempts: 3 }, true),
        (OnFailure::Skip { after_attempts: 1 }, true),
    ] {
        let hastened = state.hastened(rule);
        let due = [DeliveryLane::Live, DeliveryLane::Replay].map(|lane| hastened.may_send(lane, now()));
        assert_eq!(due, [is_due; 2], "{rule:?}");
        assert_eq!(hastened.failures, 3);
    }
    let next = failing(&state.hastened(OnFailure::Skip { after_attempts: 2 }), skipping(1, 2), now());
    assert_eq!((next.through, next.failures), (1, 0));
}

/// Faults in a row: the waits before the next try, and when an endpoint is paused.
#[test]
fn an_unreadable_secret_pauses_and_an_unavailable_key_only_waits() {
    for (fault, waits, status) in [
        (DeliveryFault::Unavailable, &[5, 60, 300, 900, 900, 900][..], WebhookStatus::Active),
        (DeliveryFault::Unreadable, &[5, 60, 300], WebhookStatus::SecretUnreadable),
    ] {
        let mut state = DeliveryState { failures: 2, ..DeliveryState::new(4) };
        let mut waited = Vec::new();
        for _ in 0..6 {
            state = state.faulted(LaneEvent::live(5), fault, now());
            waited.extend(state.retry_at.map(|at| (at - now()).num_seconds()));
            if !state.is_active() {
                break;
            }
            assert_eq!(state.failures, 2, "a fault is no attempt");
        }
        assert_eq!((waited.as_slice(), state.status, state.through), (waits, status, 4), "{fault:?}");
        assert_eq!(state.stopped_at, (status != WebhookStatus::Active).then_some(5));
    }
}

#[test]
fn faults_are_counted_in_a_row_and_not_against_the_owner() {
    let fault = |state: &DeliveryState| state.faulted(LaneEvent::live(5), DeliveryFault::Unreadable, now());
    let three = fault(&fault(&fault(&DeliveryState::new(4))));
    let again = failing(&three, LaneEvent::live(5), now());
    assert_eq!((three.faults, again.faults), (3, 0));
    assert!(fault(&again).is_active());
    assert!(!fault(&three).is_active());
    let resumed = fault(&three).resumed();
    assert_eq!((resumed.faults, resumed.is_active(), resumed.stopped_at), (0, true, None));
    for changed in [three.paused(), three.past(DeliveryLane::Live, 5)] {
        assert_eq!(fault(&changed), changed, "the owner's change is kept");
    }
    let replay = DeliveryState::new(4).replaying(0, 3);
    let replay = replay.faulted(LaneEvent::replay(1), DeliveryFault::Unavailable, now());
    assert_eq!(
        [DeliveryLane::Live, DeliveryLane::Replay].map(|lane| replay.may_send(lane, now())),
        [true, false]
    );
}

/// A request while another replay is running is refused, unless it replaces it or is the same request again.
#[test]
fn a_second_replay_is_refused_unless_it_replaces_the_first() {
    let request =
        |id, replaces| ReplayRequest { id: EntryId::new(now(), id), after: 2, through: 4, replaces };
    let first = DeliveryState::new(9).replay_requested(&request(1, false)).unwrap();
    let running = first.replay.unwrap();
    assert_eq!((running.through, running.last, running.run), (2, 4, 1));
    assert_eq!(first.replay_requested(&request(2, false)), Err(running));
    let replaced = first.replay_requested(&request(2, true)).unwrap();
    assert_eq!(replaced.replay.unwrap().run, 2);
    for (id, replaces) in [(1, false), (1, true)] {
        assert_eq!(first.replay_requested(&request(id, replaces)).unwrap(), first);
    }
    // Also when it is finished.
    let done = first.past(DeliveryLane::Replay, 4);
    assert_eq!(done.replay_requested(&request(1, false)).unwrap(), done);
    assert!(done.replay_requested(&request(2, false)).unwrap().replay.is_some());
}

proptest! {
    /// The log says what the state does.
    #[test]
    fn the_status_of_a_delivery_agrees_with_the_state(
        (failures, attempts) in (0u32..10, 0u32..=ATTEMPTS_MAX),
        (place, is_active, is_live) in (0u64..3, any::<bool>(), any::<bool>()),
        outcome in prop_oneof![
            Just(DeliveryOutcome::Taken), Just(DeliveryOutcome::Aborted), Just(DeliveryOutcome::Gone),
            Just(DeliveryOutcome::Failed(None)), Just(DeliveryOutcome::Failed(Some(900))),
        ],
        since in prop::option::of(0i64..8),
    ) {
        let status = if is_active { WebhookStatus::Active } else { WebhookStatus::Paused };
        let since = since.map(|days| now() - Duration::days(days));
        let mut state = DeliveryState { status, failures, skipping_since: since, ..DeliveryState::new(place) };
        state = state.replaying(place, 4);
        state.replay = state.replay.map(|replay| Replay { failures, ..replay });
        let lane = if is_live { DeliveryLane::Live } else { DeliveryLane::Replay };
        let on_failure = OnFailure::skip_after(attempts).unwrap_or_default();
        let event = LaneEvent { lane, number: 2, on_failure };
        let next = state.after(event, outcome, now(), 0);
        let logged = state.status_after(event, outcome, now(), 0);
        let is_past = next.place(lane).is_none_or(|place| 2 <= place);
        prop_assert_eq!(logged == DeliveryStatus::Retrying, is_active && next.retry_at(lane).is_some());
        if logged.is_done() {
            prop_assert!(is_past);
        }
        let skips = next.skipped.map_or(0, |skipped| skipped.count);
        prop_assert_eq!(skips, u64::from(logged == DeliveryStatus::Skipped));
    }
}
