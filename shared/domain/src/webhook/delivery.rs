use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ATTEMPTS_MAX, DeliveryId, DeliveryState, Lane};

/// One event on its way to one endpoint, with all attempts: a line of the delivery log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Its name for callers; the same with every attempt.
    pub id: DeliveryId,
    /// The event's id.
    pub event_id: String,
    /// The event's number; 0 of a test.
    pub number: u64,
    /// The event's name.
    pub event: String,
    /// Why it was sent.
    pub kind: DeliveryKind,
    /// How far it is.
    pub standing: DeliveryStanding,
    /// When it was first sent.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created_at: DateTime<Utc>,
    /// When the next attempt is made; not logged, for it may change (see [`Delivery::by`]).
    #[serde(skip)]
    pub next: Option<DateTime<Utc>>,
    /// What was sent last.
    pub request: SentRequest,
    /// What was answered last; nothing when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<SentResponse>,
    /// All attempts, the earliest first.
    pub attempts: Vec<Attempt>,
}

/// Why something was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeliveryKind {
    /// It has happened.
    Event,
    /// The owner wanted a range of events once more.
    Replay,
    /// The owner wanted this one once more, at once.
    Once,
    /// The owner wanted to see whether the endpoint works.
    Test,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeliveryStanding {
    /// It was taken.
    Succeeded,
    /// It was not, and is tried again.
    Retrying,
    /// It was not, and is not tried again by itself.
    Failed,
    /// It was not, and what its owner has set since stands in its place. Never logged: see [`Delivery::by`].
    Superseded,
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentRequest {
    /// Where to.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: String,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentResponse {
    /// The HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The first 4 KB of the body.
    pub body: String,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When it was made.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The HTTP status that was answered; none when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why nothing was answered, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl DeliveryKind {
    /// How many attempts there are at most.
    #[must_use]
    pub fn attempts_max(self) -> u32 {
        match self {
            Self::Event | Self::Replay => ATTEMPTS_MAX,
            Self::Once | Self::Test => 1,
        }
    }
}

impl Delivery {
    /// As it is by how far its webhook is, which was read before it. The log says what the last attempt came to.
    /// Whether another follows stands in the state alone: so what an owner begins afresh, passes over or pauses
    /// leaves no line behind that goes on waiting.
    #[must_use]
    pub fn by(self, state: &DeliveryState) -> Self {
        let lane = [Lane::Live, Lane::Replay].into_iter().find(|lane| state.delivery(*lane) == Some(self.id));
        match (self.standing, lane) {
            (DeliveryStanding::Retrying, Some(lane)) => {
                Self { next: state.retry_at(lane).filter(|_| state.is_active()), ..self }
            }
            (DeliveryStanding::Retrying, None) => Self { standing: DeliveryStanding::Superseded, ..self },
            (DeliveryStanding::Succeeded | DeliveryStanding::Failed | DeliveryStanding::Superseded, _) => {
                self
            }
        }
    }
}

/// How many of an id's 80 bits that are not its time are chance; the others are microseconds.
const CHANCE_BITS: u32 = 26;

impl DeliveryId {
    /// The id of what begins to be sent at `now`. Ids sort as their deliveries begin: those of one millisecond by
    /// `wall`, the machine's own clock, for the other one may stand still.
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
