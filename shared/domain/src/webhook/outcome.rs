//! What follows an attempt at an event: the next event, a retry, a skip or a pause.

use chrono::{DateTime, Duration, Utc};

use crate::webhook::backoff::{
    ALL_ATTEMPTS_SECONDS, FAULTS_MAX, back_off, back_off_fault, whole_milliseconds,
};
use crate::{
    DeliveryLane, DeliveryOutcome, DeliveryState, DeliveryStatus, LaneEvent, OnFailure, Replay,
    SkippedEvents, WebhookStatus,
};

/// Why there was no attempt: a secret of the endpoint could not be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryFault {
    /// The key is not available now.
    Unavailable,
    /// None of the secrets can ever be decrypted.
    Unreadable,
}

/// What follows a failed attempt.
enum AfterFailure {
    /// Another attempt at this time.
    Retry(DateTime<Utc>),
    /// The next event.
    Skip,
    /// No further attempt: a pause, or the end of a replay.
    GiveUp,
}

impl DeliveryState {
    /// The state after an attempt at an event. `chance`, from 0 to 1,000, is the share of the maximum jitter.
    #[must_use]
    pub fn after(&self, event: LaneEvent, outcome: DeliveryOutcome, now: DateTime<Utc>, chance: u16) -> Self {
        let LaneEvent { lane, number, .. } = event;
        let known = Self { faults: 0, ..self.clone() };
        match outcome {
            DeliveryOutcome::Taken | DeliveryOutcome::Aborted => {
                Self { skipping_since: None, ..known }.past(lane, number)
            }
            DeliveryOutcome::Gone => known.at(lane, number).failing(WebhookStatus::Gone, number),
            DeliveryOutcome::Failed(_) if self.counts_no_failure(event) => known,
            DeliveryOutcome::Failed(retry_after) => {
                match self.after_failure(event, retry_after, now, chance) {
                    AfterFailure::Retry(at) => known.at(lane, number).retrying(lane, at),
                    AfterFailure::Skip => known.skipping(event, now),
                    AfterFailure::GiveUp => match lane {
                        DeliveryLane::Live => known.at(lane, number).failing(WebhookStatus::Failing, number),
                        DeliveryLane::Replay => Self { replay: None, ..known },
                    },
                }
            }
        }
    }

    /// The status of the delivery after an attempt; [`DeliveryState::after`] decides by the same rules.
    #[must_use]
    pub fn status_after(
        &self,
        event: LaneEvent,
        outcome: DeliveryOutcome,
        now: DateTime<Utc>,
        chance: u16,
    ) -> DeliveryStatus {
        match outcome {
            DeliveryOutcome::Taken => DeliveryStatus::Succeeded,
            DeliveryOutcome::Aborted => DeliveryStatus::Aborted,
            DeliveryOutcome::Gone => DeliveryStatus::Failed,
            DeliveryOutcome::Failed(_) if self.counts_no_failure(event) => DeliveryStatus::Failed,
            DeliveryOutcome::Failed(retry_after) => {
                match self.after_failure(event, retry_after, now, chance) {
                    AfterFailure::Retry(_) => DeliveryStatus::Retrying,
                    AfterFailure::Skip => DeliveryStatus::Skipped,
                    AfterFailure::GiveUp => DeliveryStatus::Failed,
                }
            }
        }
    }

    /// The state after a fault in place of an attempt at an event. It does not count as an attempt.
    #[must_use]
    pub fn faulted(&self, event: LaneEvent, fault: DeliveryFault, now: DateTime<Utc>) -> Self {
        let LaneEvent { lane, number, .. } = event;
        if self.counts_no_failure(event) {
            return self.clone();
        }
        let faults = self.faults.saturating_add(1);
        match fault {
            DeliveryFault::Unreadable if FAULTS_MAX <= faults => {
                self.at(lane, number).stopped(WebhookStatus::SecretUnreadable, number)
            }
            DeliveryFault::Unreadable | DeliveryFault::Unavailable => {
                let waiting = self.waiting(lane, back_off_fault(self.faults, now));
                Self { faults, ..waiting }
            }
        }
    }

    /// The state with an attempt due at once where the owner now allows fewer attempts than were made: the next
    /// failure skips the event.
    #[must_use]
    pub fn hastened(&self, on_failure: OnFailure) -> Self {
        let OnFailure::Skip { .. } = on_failure else { return self.clone() };
        let is_over = |lane| on_failure.attempts_max() <= self.failures(lane);
        let retry_at = self.retry_at.filter(|_| !is_over(DeliveryLane::Live));
        let replay = self.replay.map(|replay| Replay {
            retry_at: replay.retry_at.filter(|_| !is_over(DeliveryLane::Replay)),
            ..replay
        });
        Self { retry_at, replay, ..self.clone() }
    }

    /// Whether a failed attempt at this event has no effect: a later resume starts again, and an event that the owner
    /// skipped meanwhile must not affect the next one.
    fn counts_no_failure(&self, event: LaneEvent) -> bool {
        self.status != WebhookStatus::Active || self.is_past(event.lane, event.number)
    }

    fn after_failure(
        &self,
        event: LaneEvent,
        retry_after: Option<u32>,
        now: DateTime<Utc>,
        chance: u16,
    ) -> AfterFailure {
        let failed = self.failures(event.lane);
        match event.on_failure {
            OnFailure::Skip { .. } if event.on_failure.attempts_max() <= failed.saturating_add(1) => {
                if self.accepts_nothing(event.lane, now) { AfterFailure::GiveUp } else { AfterFailure::Skip }
            }
            OnFailure::Skip { .. } | OnFailure::Block => {
                back_off(failed, retry_after, now, chance).map_or(AfterFailure::GiveUp, AfterFailure::Retry)
            }
        }
    }

    /// Whether the endpoint has accepted no event on the live lane for as long as all attempts at one event take,
    /// since the first of them was skipped.
    fn accepts_nothing(&self, lane: DeliveryLane, now: DateTime<Utc>) -> bool {
        let longest = Duration::try_seconds(ALL_ATTEMPTS_SECONDS).unwrap_or_default();
        let since = self.skipping_since.filter(|_| lane == DeliveryLane::Live);
        since.is_some_and(|since| longest <= now.signed_duration_since(since))
    }

    /// The state with the event skipped.
    fn skipping(&self, event: LaneEvent, now: DateTime<Utc>) -> Self {
        let (at, count) = (whole_milliseconds(now), self.skipped.map_or(0, |skipped| skipped.count));
        let skipped = SkippedEvents { count: count.saturating_add(1), number: event.number, at };
        let since = match event.lane {
            DeliveryLane::Live => self.skipping_since.or(Some(at)),
            DeliveryLane::Replay => self.skipping_since,
        };
        Self { skipped: Some(skipped), skipping_since: since, ..self.past(event.lane, event.number) }
    }

    fn retrying(&self, lane: DeliveryLane, at: DateTime<Utc>) -> Self {
        let failures = self.failures(lane).saturating_add(1);
        let known = self.waiting(lane, at);
        match lane {
            DeliveryLane::Live => Self { failures, ..known },
            DeliveryLane::Replay => {
                Self { replay: known.replay.map(|replay| Replay { failures, ..replay }), ..known }
            }
        }
    }

    fn waiting(&self, lane: DeliveryLane, at: DateTime<Utc>) -> Self {
        let retry_at = Some(at);
        match lane {
            DeliveryLane::Live => Self { retry_at, ..self.clone() },
            DeliveryLane::Replay => {
                Self { replay: self.replay.map(|replay| Replay { retry_at, ..replay }), ..self.clone() }
            }
        }
    }

    /// The state stopped by a failed attempt.
    fn failing(&self, status: WebhookStatus, number: u64) -> Self {
        let failures = self.failures.saturating_add(1);
        // A change by the owner in the meantime is kept.
        if self.status != WebhookStatus::Active {
            return Self { failures, retry_at: None, ..self.clone() };
        }
        Self { failures, ..self.stopped(status, number) }
    }

    fn stopped(&self, status: WebhookStatus, number: u64) -> Self {
        let replay = self.replay.map(Replay::anew);
        Self { status, replay, stopped_at: Some(number), ..self.anew() }
    }
}

#[cfg(test)]
#[path = "../tests/delivery_outcome.rs"]
mod tests;
