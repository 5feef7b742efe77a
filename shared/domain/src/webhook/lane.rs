//! The lanes of a webhook's deliveries: new events, and the replay of earlier ones.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{DeliveryId, EntryId, OnFailure};

/// A replay of a range of events. It does not delay new events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// The number of the last replayed event, or the one before the range.
    pub through: u64,
    /// The number of the range's last event.
    pub last: u64,
    /// The number of the replay.
    pub run: u32,
    /// The delivery of its current event; `None` before its first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// The number of failed attempts at its current event.
    #[serde(default)]
    pub failures: u32,
    /// The time of the next attempt; `None` for immediately.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "chrono::serde::ts_milliseconds_option"
    )]
    pub retry_at: Option<DateTime<Utc>>,
}

/// The lane of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryLane {
    /// New events.
    Live,
    /// Replayed events.
    Replay,
}

/// The outcome of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The endpoint accepted the event.
    Taken,
    /// It failed; the endpoint may have asked for a wait of this number of seconds.
    Failed(Option<u32>),
    /// The endpoint answered that it is gone.
    Gone,
    /// The endpoint did not accept the event and asked for no further attempt at it.
    Aborted,
}

/// The event that an attempt delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneEvent {
    /// The lane that it is delivered on.
    pub lane: DeliveryLane,
    /// Its number in the account's feed.
    pub number: u64,
    /// What follows when the endpoint does not accept it.
    pub on_failure: OnFailure,
}

/// A request to replay a range of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayRequest {
    /// Its id, the same for every attempt of the request.
    pub id: EntryId,
    /// The number before the first event.
    pub after: u64,
    /// The number of the last event.
    pub through: u64,
    /// Whether it replaces a replay that is not finished.
    pub replaces: bool,
}

impl LaneEvent {
    /// An event on the live lane that is never skipped.
    #[must_use]
    pub fn live(number: u64) -> Self {
        Self { lane: DeliveryLane::Live, number, on_failure: OnFailure::Block }
    }

    /// An event on the replay lane that is never skipped.
    #[must_use]
    pub fn replay(number: u64) -> Self {
        Self { lane: DeliveryLane::Replay, number, on_failure: OnFailure::Block }
    }
}

impl Replay {
    /// The replay without attempts at its current event.
    pub(super) fn anew(self) -> Self {
        Self { delivery: None, failures: 0, retry_at: None, ..self }
    }
}
