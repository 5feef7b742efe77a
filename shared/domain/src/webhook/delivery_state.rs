use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::DeliveryId;
use crate::webhook::backoff::{back_off, whole_milliseconds};

/// For how many seconds whoever delivers to an endpoint has it alone: far longer than one attempt takes.
const LEASE_SECONDS: i64 = 60;

/// How far deliveries to one endpoint are. It follows the feed of its account's events in the order of their
/// numbers, and goes on to the next when one was taken: so nothing is lost, and nothing overtakes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryState {
    /// Whether it is delivered to.
    pub status: Flow,
    /// The number of the last event that it is done with.
    pub through: u64,
    /// Events that are sent once more, when nothing new is to be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// The line of the log that attempts at the present event belong to; none before the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// How many attempts at the present event have failed.
    pub failures: u32,
    /// When the next attempt is made; at once when there is no time. Milliseconds count.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "chrono::serde::ts_milliseconds_option"
    )]
    pub retry_at: Option<DateTime<Utc>>,
    /// Until when somebody is at work on it, by the machine's own clock.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub leased_until: DateTime<Utc>,
    /// Whose lease it is or was last: a random number. Two who take it in the same millisecond must not both take
    /// it for theirs.
    #[serde(default)]
    pub holder: u64,
    /// The how manieth time that its owner has had deliveries begun afresh.
    pub run: u32,
    /// How many ranges were sent once more.
    #[serde(default)]
    pub replays: u32,
    /// The number of the event that it was stopped at, and has not been told of yet; none while its owner knows
    /// all there is to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<u64>,
    /// Grows with every change.
    pub revision: u64,
}

/// Whether an endpoint is delivered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Flow {
    /// It is.
    Active,
    /// Its owner has paused it.
    Paused,
    /// It has failed too often.
    Failing,
    /// It has said that it is gone.
    Gone,
}

/// A range of events that are sent once more. What it comes to is its own: it does not hold up what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// The number of the last event that was sent again, or the one before the first.
    pub through: u64,
    /// The number of the last that is to be.
    pub last: u64,
    /// The how manieth range it is.
    pub run: u32,
    /// The line of the log that attempts at its present event belong to; none before the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// How many attempts at its present event have failed.
    #[serde(default)]
    pub failures: u32,
    /// When the next of them is made; at once when there is no time.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "chrono::serde::ts_milliseconds_option"
    )]
    pub retry_at: Option<DateTime<Utc>>,
}

/// Which way an event comes to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// For the first time.
    Live,
    /// Once more.
    Replay,
}

/// What became of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Taken,
    /// It was not; the endpoint may have said for how many seconds it wants to be left alone.
    Failed(Option<u32>),
    /// There is no such endpoint any more, it says.
    Gone,
}

/// The event that an attempt delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneEvent {
    /// The lane that it is delivered on.
    pub lane: Lane,
    /// Its number in the account's feed.
    pub number: u64,
}

impl LaneEvent {
    /// An event on the live lane.
    #[must_use]
    pub fn live(number: u64) -> Self {
        Self { lane: Lane::Live, number }
    }

    /// An event on the replay lane.
    #[must_use]
    pub fn replay(number: u64) -> Self {
        Self { lane: Lane::Replay, number }
    }
}

impl Replay {
    /// With nothing attempted yet at its present event.
    fn anew(self) -> Self {
        Self { delivery: None, failures: 0, retry_at: None, ..self }
    }
}

impl DeliveryState {
    /// That of an endpoint that is made when there are so many events: it hears of the next.
    #[must_use]
    pub fn new(through: u64) -> Self {
        Self {
            status: Flow::Active,
            through,
            replay: None,
            delivery: None,
            failures: 0,
            retry_at: None,
            leased_until: DateTime::UNIX_EPOCH,
            holder: 0,
            run: 0,
            replays: 0,
            stopped_at: None,
            revision: 0,
        }
    }

    /// Whether somebody may deliver: it is active, a wait is over, and nobody is at work.
    #[must_use]
    pub fn is_open(&self, now: DateTime<Utc>, wall: DateTime<Utc>) -> bool {
        let may_send = self.may_send(Lane::Live, now) || self.may_send(Lane::Replay, now);
        self.status == Flow::Active && may_send && self.leased_until <= wall
    }

    /// Whether nothing has to be waited for on that way.
    #[must_use]
    pub fn may_send(&self, lane: Lane, now: DateTime<Utc>) -> bool {
        match lane {
            Lane::Live => self.retry_at.is_none_or(|retry_at| retry_at <= now),
            Lane::Replay => {
                self.replay.is_some_and(|replay| replay.retry_at.is_none_or(|retry_at| retry_at <= now))
            }
        }
    }

    /// The number of the last event that it is done with on that way; none where nothing is sent again.
    #[must_use]
    pub fn place(&self, lane: Lane) -> Option<u64> {
        match lane {
            Lane::Live => Some(self.through),
            Lane::Replay => self.replay.map(|replay| replay.through),
        }
    }

    fn is_past(&self, lane: Lane, number: u64) -> bool {
        self.place(lane).is_some_and(|place| number <= place)
    }

    /// The line of the log that is being written on that way.
    #[must_use]
    pub fn delivery(&self, lane: Lane) -> Option<DeliveryId> {
        match lane {
            Lane::Live => self.delivery,
            Lane::Replay => self.replay.and_then(|replay| replay.delivery),
        }
    }

    /// With a line of the log for attempts at the next event of that way, unless there is one: whoever died over
    /// an attempt may have written it.
    #[must_use]
    pub fn beginning(&self, lane: Lane, id: DeliveryId) -> Self {
        let delivery = Some(self.delivery(lane).unwrap_or(id));
        match lane {
            Lane::Live => Self { delivery, ..self.clone() },
            Lane::Replay => {
                Self { replay: self.replay.map(|replay| Replay { delivery, ..replay }), ..self.clone() }
            }
        }
    }

    /// Without a line of the log in which no attempt has failed: whoever sends that event begins it anew.
    #[must_use]
    pub fn unbegun(&self, lane: Lane) -> Self {
        match (lane, self.failures(lane)) {
            (Lane::Live, 0) => Self { delivery: None, ..self.clone() },
            (Lane::Replay, 0) => Self { replay: self.replay.map(Replay::anew), ..self.clone() },
            (Lane::Live | Lane::Replay, _) => self.clone(),
        }
    }

    /// How many attempts at the present event of that way have failed.
    #[must_use]
    pub fn failures(&self, lane: Lane) -> u32 {
        match lane {
            Lane::Live => self.failures,
            Lane::Replay => self.replay.map_or(0, |replay| replay.failures),
        }
    }

    /// When the next attempt is made on that way; at once when there is no time.
    #[must_use]
    pub fn retry_at(&self, lane: Lane) -> Option<DateTime<Utc>> {
        match lane {
            Lane::Live => self.retry_at,
            Lane::Replay => self.replay.and_then(|replay| replay.retry_at),
        }
    }

    /// Whether that way is still the one that `seen` is on: its owner has not had it begun afresh meanwhile.
    #[must_use]
    pub fn goes_on(&self, lane: Lane, seen: &Self) -> bool {
        match lane {
            Lane::Live => self.run == seen.run,
            Lane::Replay => self.replay.map(|replay| replay.run) == seen.replay.map(|replay| replay.run),
        }
    }

    /// In the hands of `holder`, who takes it at `wall`, or keeps it.
    #[must_use]
    pub fn leased(&self, holder: u64, wall: DateTime<Utc>) -> Self {
        let lease = Duration::try_seconds(LEASE_SECONDS).unwrap_or_default();
        let until = wall.checked_add_signed(lease).unwrap_or(wall);
        Self { leased_until: whole_milliseconds(until), holder, ..self.clone() }
    }

    /// Whether it is in the hands of `holder`.
    #[must_use]
    pub fn is_held_by(&self, holder: u64) -> bool {
        self.holder == holder && self.leased_until > DateTime::UNIX_EPOCH
    }

    /// Let go of.
    #[must_use]
    pub fn free(&self) -> Self {
        Self { leased_until: DateTime::UNIX_EPOCH, ..self.clone() }
    }

    /// Past events up to that number, which were taken or are not wanted.
    #[must_use]
    pub fn past(&self, lane: Lane, number: u64) -> Self {
        match lane {
            Lane::Live => Self { through: number.max(self.through), ..self.anew() },
            Lane::Replay => {
                let left = self.replay.filter(|replay| number < replay.last);
                let through = |replay: Replay| number.max(replay.through);
                let replay = left.map(|replay| Replay { through: through(replay), ..replay.anew() });
                Self { replay, ..self.clone() }
            }
        }
    }

    /// With the event of that number as the next: none of those before it is wanted. What was attempted stays.
    #[must_use]
    fn at(&self, lane: Lane, number: u64) -> Self {
        let before = number.saturating_sub(1);
        match lane {
            Lane::Live => Self { through: before.max(self.through), ..self.clone() },
            Lane::Replay => {
                let at = |replay: Replay| Replay { through: before.max(replay.through), ..replay };
                Self { replay: self.replay.map(at), ..self.clone() }
            }
        }
    }

    /// After an attempt at the event of that number. `chance`, from 0 to 1,000, makes the wait a little longer.
    #[must_use]
    pub fn after(&self, event: LaneEvent, outcome: Outcome, now: DateTime<Utc>, chance: u16) -> Self {
        let LaneEvent { lane, number } = event;
        match outcome {
            Outcome::Taken => self.past(lane, number),
            Outcome::Gone => self.at(lane, number).stopped(Flow::Gone, number),
            // Whoever resumes it begins anew; and what its owner gave up meanwhile leaves the next event alone.
            Outcome::Failed(_) if self.status != Flow::Active || self.is_past(lane, number) => self.clone(),
            Outcome::Failed(retry_after) => {
                let known = self.at(lane, number);
                let failed = self.failures(lane);
                let retry_at = back_off(failed, retry_after, now, chance);
                let failures = failed.saturating_add(1);
                match (lane, retry_at) {
                    (Lane::Live, Some(_)) => Self { failures, retry_at, ..known },
                    (Lane::Live, None) => known.stopped(Flow::Failing, number),
                    (Lane::Replay, Some(_)) => {
                        let replay = known.replay.map(|replay| Replay { failures, retry_at, ..replay });
                        Self { replay, ..known }
                    }
                    // What was to be sent again is given up; what is new goes on.
                    (Lane::Replay, None) => Self { replay: None, ..known },
                }
            }
        }
    }

    fn stopped(&self, status: Flow, number: u64) -> Self {
        let failures = self.failures.saturating_add(1);
        // Whatever its owner has set meanwhile stands.
        if self.status != Flow::Active {
            return Self { failures, retry_at: None, ..self.clone() };
        }
        // What was being tried again is begun anew once it is resumed.
        let replay = self.replay.map(Replay::anew);
        Self { status, failures, replay, stopped_at: Some(number), ..self.anew() }
    }

    /// Paused by its owner. What happens meanwhile is kept for it.
    #[must_use]
    pub fn paused(&self) -> Self {
        match self.status {
            Flow::Active => {
                let replay = self.replay.map(Replay::anew);
                Self { status: Flow::Paused, replay, delivery: None, retry_at: None, ..self.clone() }
            }
            Flow::Paused | Flow::Failing | Flow::Gone => self.clone(),
        }
    }

    /// Delivered to again, at once and as if nothing had failed.
    #[must_use]
    pub fn resumed(&self) -> Self {
        let run = self.run.saturating_add(1);
        Self { status: Flow::Active, run, stopped_at: None, ..self.anew() }
    }

    /// Whether it is delivered to.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == Flow::Active
    }

    /// Tried again at once, as if nothing had failed. What is sent is of another run: none of the attempts before, be
    /// it one that is under way, counts among the new ones.
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
        let known = Self { replay, replays, ..self.clone() };
        match self.status {
            Flow::Active if is_at_work || 0 < self.failures => {
                Self { run: self.run.saturating_add(1), ..known.anew() }
            }
            Flow::Active => known,
            Flow::Paused | Flow::Failing | Flow::Gone => known.anew(),
        }
    }

    /// With nothing attempted yet.
    fn anew(&self) -> Self {
        Self { delivery: None, failures: 0, retry_at: None, ..self.clone() }
    }

    /// Past the event of that number, if attempts at it have failed: its owner does not want it any more.
    #[must_use]
    pub fn unwanted(&self, lane: Lane, number: u64) -> Self {
        let is_next = self.place(lane).and_then(|place| place.checked_add(1)) == Some(number);
        if is_next && 0 < self.failures(lane) { self.past(lane, number) } else { self.clone() }
    }

    /// Delivered to from the event on that follows that number.
    #[must_use]
    pub fn from_after(&self, number: u64) -> Self {
        let run = self.run.saturating_add(1);
        Self { through: number, run, ..self.anew() }
    }

    /// With a range of events that is to be sent once more: those after a number, through another.
    #[must_use]
    pub fn replaying(&self, after: u64, last: u64) -> Self {
        let run = self.replays.saturating_add(1);
        let replay = Replay { through: after, last, run, delivery: None, failures: 0, retry_at: None };
        Self { replay: Some(replay), replays: run, ..self.clone() }
    }
}

#[cfg(test)]
#[path = "../tests/delivery_state.rs"]
mod tests;
