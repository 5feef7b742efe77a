//! The state of deliveries to one endpoint: position, failures, replay, lease.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::webhook::backoff::whole_milliseconds;
use crate::{DeliveryId, DeliveryLane, EntryId, Replay, ReplayRequest, SkippedEvents};

/// The duration of a lease on an endpoint in seconds: far longer than one attempt.
const LEASE_SECONDS: i64 = 60;

/// The state of deliveries to one endpoint. Events of the account's feed are delivered in the order of their
/// numbers, each after the one before was accepted, so that none is lost or reordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryState {
    /// Whether deliveries are active.
    pub status: WebhookStatus,
    /// The number of the last event that is done.
    pub through: u64,
    /// The range of events that is being replayed while no new event is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// The delivery of the current event; `None` before its first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// The number of failed attempts at the current event.
    pub failures: u32,
    /// The time of the next attempt, in milliseconds; `None` for immediately.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "chrono::serde::ts_milliseconds_option"
    )]
    pub retry_at: Option<DateTime<Utc>>,
    /// The end of the lease, by the machine's own clock.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub leased_until: DateTime<Utc>,
    /// The last holder of the lease: a random number, so that two workers that take it in the same millisecond
    /// are distinguished.
    #[serde(default)]
    pub holder: u64,
    /// The number of times that the owner restarted deliveries.
    pub run: u32,
    /// The number of replays.
    #[serde(default)]
    pub replays: u32,
    /// The request that started the latest replay, so that a retry of the request starts no other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_request: Option<EntryId>,
    /// The events that were skipped because the endpoint did not accept them; `None` while there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<SkippedEvents>,
    /// When the first event was skipped since the endpoint last accepted one, in milliseconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "chrono::serde::ts_milliseconds_option"
    )]
    pub skipping_since: Option<DateTime<Utc>>,
    /// How many times in a row the secret could not be decrypted, so that there was no attempt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub faults: u32,
    /// The number of the event at which deliveries were stopped, until the owner is notified of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<u64>,
    /// Incremented with every change.
    pub revision: u64,
}

/// Whether deliveries to an endpoint are active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WebhookStatus {
    /// Deliveries are active.
    Active,
    /// The owner paused it.
    Paused,
    /// It was paused after too many failures.
    Failing,
    /// It was paused because the endpoint answered that it is gone.
    Gone,
    /// It was paused because its secret cannot be decrypted.
    SecretUnreadable,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl DeliveryState {
    /// The state of a new endpoint: it receives events after number `through`.
    #[must_use]
    pub fn new(through: u64) -> Self {
        Self {
            status: WebhookStatus::Active,
            through,
            replay: None,
            delivery: None,
            failures: 0,
            retry_at: None,
            leased_until: DateTime::UNIX_EPOCH,
            holder: 0,
            run: 0,
            replays: 0,
            replay_request: None,
            skipped: None,
            skipping_since: None,
            faults: 0,
            stopped_at: None,
            revision: 0,
        }
    }

    /// Whether a worker can deliver: deliveries are active, no wait is left on one of the lanes, and the lease
    /// is free.
    #[must_use]
    pub fn is_open(&self, now: DateTime<Utc>, wall: DateTime<Utc>) -> bool {
        let may_send = self.may_send(DeliveryLane::Live, now) || self.may_send(DeliveryLane::Replay, now);
        self.status == WebhookStatus::Active && may_send && self.leased_until <= wall
    }

    /// Whether an attempt is due on this lane.
    #[must_use]
    pub fn may_send(&self, lane: DeliveryLane, now: DateTime<Utc>) -> bool {
        match lane {
            DeliveryLane::Live => self.retry_at.is_none_or(|retry_at| retry_at <= now),
            DeliveryLane::Replay => {
                self.replay.is_some_and(|replay| replay.retry_at.is_none_or(|retry_at| retry_at <= now))
            }
        }
    }

    /// The number of the last event that is done on this lane; `None` without a replay.
    #[must_use]
    pub fn place(&self, lane: DeliveryLane) -> Option<u64> {
        match lane {
            DeliveryLane::Live => Some(self.through),
            DeliveryLane::Replay => self.replay.map(|replay| replay.through),
        }
    }

    pub(super) fn is_past(&self, lane: DeliveryLane, number: u64) -> bool {
        self.place(lane).is_some_and(|place| number <= place)
    }

    /// The delivery of the current event on this lane.
    #[must_use]
    pub fn delivery(&self, lane: DeliveryLane) -> Option<DeliveryId> {
        match lane {
            DeliveryLane::Live => self.delivery,
            DeliveryLane::Replay => self.replay.and_then(|replay| replay.delivery),
        }
    }

    /// The state with a delivery for the next event on this lane, unless there is one: a worker that crashed
    /// may have logged an attempt under it.
    #[must_use]
    pub fn beginning(&self, lane: DeliveryLane, id: DeliveryId) -> Self {
        let delivery = Some(self.delivery(lane).unwrap_or(id));
        match lane {
            DeliveryLane::Live => Self { delivery, ..self.clone() },
            DeliveryLane::Replay => {
                Self { replay: self.replay.map(|replay| Replay { delivery, ..replay }), ..self.clone() }
            }
        }
    }

    /// The state without a delivery that has no failed attempt, so that the next worker begins a new one.
    #[must_use]
    pub fn not_begun(&self, lane: DeliveryLane) -> Self {
        match (lane, self.failures(lane)) {
            (DeliveryLane::Live, 0) => Self { delivery: None, ..self.clone() },
            (DeliveryLane::Replay, 0) => Self { replay: self.replay.map(Replay::anew), ..self.clone() },
            (DeliveryLane::Live | DeliveryLane::Replay, _) => self.clone(),
        }
    }

    /// The number of failed attempts at this lane's current event.
    #[must_use]
    pub fn failures(&self, lane: DeliveryLane) -> u32 {
        match lane {
            DeliveryLane::Live => self.failures,
            DeliveryLane::Replay => self.replay.map_or(0, |replay| replay.failures),
        }
    }

    /// The time of the next attempt on this lane; `None` for immediately.
    #[must_use]
    pub fn retry_at(&self, lane: DeliveryLane) -> Option<DateTime<Utc>> {
        match lane {
            DeliveryLane::Live => self.retry_at,
            DeliveryLane::Replay => self.replay.and_then(|replay| replay.retry_at),
        }
    }

    /// Whether this lane is still in the run of `seen`: the owner has not restarted it since.
    #[must_use]
    pub fn goes_on(&self, lane: DeliveryLane, seen: &Self) -> bool {
        match lane {
            DeliveryLane::Live => self.run == seen.run,
            DeliveryLane::Replay => {
                self.replay.map(|replay| replay.run) == seen.replay.map(|replay| replay.run)
            }
        }
    }

    /// The state leased to `holder` at `wall`, or with its lease renewed.
    #[must_use]
    pub fn leased(&self, holder: u64, wall: DateTime<Utc>) -> Self {
        let lease = Duration::try_seconds(LEASE_SECONDS).unwrap_or_default();
        let until = wall.checked_add_signed(lease).unwrap_or(wall);
        Self { leased_until: whole_milliseconds(until), holder, ..self.clone() }
    }

    /// Whether `holder` has the lease.
    #[must_use]
    pub fn is_held_by(&self, holder: u64) -> bool {
        self.holder == holder && self.leased_until > DateTime::UNIX_EPOCH
    }

    /// The state without a lease.
    #[must_use]
    pub fn free(&self) -> Self {
        Self { leased_until: DateTime::UNIX_EPOCH, ..self.clone() }
    }

    /// The state with events up to this number done: delivered, or not subscribed to.
    #[must_use]
    pub fn past(&self, lane: DeliveryLane, number: u64) -> Self {
        match lane {
            DeliveryLane::Live => Self { through: number.max(self.through), ..self.anew() },
            DeliveryLane::Replay => {
                let left = self.replay.filter(|replay| number < replay.last);
                let through = |replay: Replay| number.max(replay.through);
                let replay = left.map(|replay| Replay { through: through(replay), ..replay.anew() });
                Self { replay, ..self.clone() }
            }
        }
    }

    /// The state with this event as the next one, when those before are not subscribed to. Failed attempts are
    /// kept.
    #[must_use]
    pub(super) fn at(&self, lane: DeliveryLane, number: u64) -> Self {
        let before = number.saturating_sub(1);
        match lane {
            DeliveryLane::Live => Self { through: before.max(self.through), ..self.clone() },
            DeliveryLane::Replay => {
                let at = |replay: Replay| Replay { through: before.max(replay.through), ..replay };
                Self { replay: self.replay.map(at), ..self.clone() }
            }
        }
    }

    /// The state paused by its owner. Events are kept meanwhile.
    #[must_use]
    pub fn paused(&self) -> Self {
        match self.status {
            WebhookStatus::Active => {
                let replay = self.replay.map(Replay::anew);
                Self { status: WebhookStatus::Paused, replay, delivery: None, retry_at: None, ..self.clone() }
            }
            WebhookStatus::Paused
            | WebhookStatus::Failing
            | WebhookStatus::Gone
            | WebhookStatus::SecretUnreadable => self.clone(),
        }
    }

    /// The state with deliveries resumed immediately, without failures.
    #[must_use]
    pub fn resumed(&self) -> Self {
        let run = self.run.saturating_add(1);
        Self { status: WebhookStatus::Active, run, stopped_at: None, skipping_since: None, ..self.anew() }
    }

    /// Whether deliveries are active.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == WebhookStatus::Active
    }

    /// The state retried immediately, without failures, as a new run: no attempt of the old run counts, not
    /// even one in progress.
    #[must_use]
    pub fn unhindered(&self) -> Self {
        let is_at_work = self.leased_until > DateTime::UNIX_EPOCH;
        let replays = self.replays.saturating_add(1);
        let (replay, replays) = match self.replay {
            Some(replay) if is_at_work || 0 < replay.failures => {
                (Some(Replay { run: replays, ..replay.anew() }), replays)
            }
            replay => (replay, self.replays),
        };
        let known = Self { replay, replays, skipping_since: None, ..self.clone() };
        match self.status {
            WebhookStatus::Active if is_at_work || 0 < self.failures => {
                Self { run: self.run.saturating_add(1), ..known.anew() }
            }
            WebhookStatus::Active => known,
            WebhookStatus::Paused
            | WebhookStatus::Failing
            | WebhookStatus::Gone
            | WebhookStatus::SecretUnreadable => known.anew(),
        }
    }

    /// The state without attempts.
    pub(super) fn anew(&self) -> Self {
        Self { delivery: None, failures: 0, retry_at: None, faults: 0, ..self.clone() }
    }

    /// The state with this event skipped, if attempts at it have failed: the owner no longer subscribes to it.
    #[must_use]
    pub fn unwanted(&self, lane: DeliveryLane, number: u64) -> Self {
        let is_next = self.place(lane).and_then(|place| place.checked_add(1)) == Some(number);
        if is_next && 0 < self.failures(lane) { self.past(lane, number) } else { self.clone() }
    }

    /// The state with deliveries restarted after this event.
    #[must_use]
    pub fn from_after(&self, number: u64) -> Self {
        let run = self.run.saturating_add(1);
        Self { through: number, run, skipping_since: None, ..self.anew() }
    }

    /// The state with a replay of the events after number `after` through `last`.
    #[must_use]
    pub fn replaying(&self, after: u64, last: u64) -> Self {
        let run = self.replays.saturating_add(1);
        let replay = Replay { through: after, last, run, delivery: None, failures: 0, retry_at: None };
        Self { replay: Some(replay), replays: run, ..self.clone() }
    }

    /// The state with the replay that the owner requests. A retry of the latest request changes nothing.
    ///
    /// # Errors
    /// The replay that is not finished yet, unless the request replaces it.
    pub fn replay_requested(&self, request: &ReplayRequest) -> Result<Self, Replay> {
        if self.replay_request == Some(request.id) {
            return Ok(self.clone());
        }
        match self.replay {
            Some(running) if !request.replaces => Err(running),
            Some(_) | None => {
                let replaying = self.replaying(request.after, request.through);
                Ok(Self { replay_request: Some(request.id), ..replaying })
            }
        }
    }
}

#[cfg(test)]
#[path = "../tests/delivery_state.rs"]
mod tests;
