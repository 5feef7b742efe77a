//! A delivery and its attempts: a line of the delivery log.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ATTEMPTS_MAX, DeliveryId, DeliveryLane, DeliveryState};

/// A delivery of one event to one endpoint, with all its attempts: a line of the delivery log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Its id, the same for all attempts.
    pub id: DeliveryId,
    /// The event's id.
    pub event_id: String,
    /// The event's number; 0 for a test.
    pub number: u64,
    /// The event's name.
    pub event: String,
    /// Why the event is delivered.
    pub kind: DeliveryKind,
    /// Its status.
    #[serde(rename = "standing")]
    pub status: DeliveryStatus,
    /// The time of the first attempt.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created_at: DateTime<Utc>,
    /// The time of the next attempt; not stored, because it can change (see [`Delivery::by`]).
    #[serde(skip)]
    pub next: Option<DateTime<Utc>>,
    /// The last request.
    pub request: SentRequest,
    /// The last response; `None` when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<SentResponse>,
    /// All attempts, the earliest first.
    pub attempts: Vec<DeliveryAttempt>,
    /// The maximum number of attempts when the last one was made; `None` for that of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_max: Option<u32>,
}

/// Why an event is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeliveryKind {
    /// It is new.
    Event,
    /// The owner requested a replay of a range of events.
    Replay,
    /// The owner requested an immediate redelivery of this event.
    Once,
    /// The owner requested a test.
    Test,
}

/// The status of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeliveryStatus {
    /// The endpoint accepted it.
    Succeeded,
    /// It failed and will be retried.
    Retrying,
    /// It failed and will not be retried automatically.
    Failed,
    /// It failed as often as the owner allows and was skipped, so that later events are delivered.
    Skipped,
    /// The endpoint did not accept it and asked for no further attempt.
    Aborted,
    /// It failed, and a later change by the owner replaced it. Never stored: see [`Delivery::by`].
    Superseded,
}

/// A delivery request, as logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentRequest {
    /// The URL.
    pub url: String,
    /// The header names and values.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: String,
}

/// An endpoint's response, as logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentResponse {
    /// The HTTP status.
    pub status: u16,
    /// The header names and values.
    pub headers: Vec<(String, String)>,
    /// The first 4 KB of the body.
    pub body: String,
}

/// One attempt of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryAttempt {
    /// The time of the attempt.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub at: DateTime<Utc>,
    /// Its duration in milliseconds.
    pub took_ms: u64,
    /// The HTTP status of the response; `None` when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there was no response, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl DeliveryStatus {
    /// Whether the next event follows.
    #[must_use]
    pub fn is_done(self) -> bool {
        match self {
            Self::Succeeded | Self::Skipped | Self::Aborted => true,
            Self::Retrying | Self::Failed | Self::Superseded => false,
        }
    }
}

impl DeliveryKind {
    /// The maximum number of attempts, unless the owner allows fewer.
    #[must_use]
    pub fn attempts_max(self) -> u32 {
        match self {
            Self::Event | Self::Replay => ATTEMPTS_MAX,
            Self::Once | Self::Test => 1,
        }
    }
}

impl Delivery {
    /// The delivery with its current status, given the webhook's state, which must be read first. The log has
    /// the result of the last attempt; whether another follows is only known from the state. So restarting,
    /// skipping or pausing deliveries leaves no log line that seems to wait.
    #[must_use]
    pub fn by(self, state: &DeliveryState) -> Self {
        let lane = [DeliveryLane::Live, DeliveryLane::Replay]
            .into_iter()
            .find(|lane| state.delivery(*lane) == Some(self.id));
        match (self.status, lane) {
            (DeliveryStatus::Retrying, Some(lane)) => {
                Self { next: state.retry_at(lane).filter(|_| state.is_active()), ..self }
            }
            (DeliveryStatus::Retrying, None) => Self { status: DeliveryStatus::Superseded, ..self },
            (
                DeliveryStatus::Succeeded
                | DeliveryStatus::Failed
                | DeliveryStatus::Skipped
                | DeliveryStatus::Aborted
                | DeliveryStatus::Superseded,
                _,
            ) => self,
        }
    }

    /// The maximum number of attempts.
    #[must_use]
    pub fn attempts_max(&self) -> u32 {
        self.attempts_max.unwrap_or(self.kind.attempts_max())
    }
}

/// The number of truly random bits of an id; its other random bits contain microseconds.
const CHANCE_BITS: u32 = 26;

impl DeliveryId {
    /// The id of a delivery that begins at `now`. Ids sort in the order in which deliveries begin: within a
    /// millisecond by `wall`, the machine's own clock, because the test clock can stand still.
    #[must_use]
    pub fn begun(now: DateTime<Utc>, wall: DateTime<Utc>, random: u128) -> Self {
        let microseconds = u128::try_from(wall.timestamp_micros()).unwrap_or(0);
        let chance = random.checked_shr(u128::BITS.saturating_sub(CHANCE_BITS)).unwrap_or(0);
        Self::new(now, microseconds.checked_shl(CHANCE_BITS).unwrap_or(0) | chance)
    }
}

#[cfg(test)]
#[path = "../tests/delivery.rs"]
mod tests;
