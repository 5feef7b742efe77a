use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ids::digest;
use super::{ATTEMPTS_MAX, AccountId, DeliveryId, EntryId, WebhookId};

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
    /// When its event happened, or it was asked for.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created_at: DateTime<Utc>,
    /// When the next attempt is made.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "chrono::serde::ts_seconds_option")]
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

impl DeliveryId {
    /// The id of what is sent of the event of that number to a webhook in that run. It is made from them, so it
    /// is the same with every attempt, whoever makes it.
    #[must_use]
    pub fn of(account: AccountId, webhook: WebhookId, (number, run): (u64, u32), at: DateTime<Utc>) -> Self {
        let what = format!("delivery of {number} in {run} to {webhook} of {account}");
        Self::from(EntryId::derived(at, digest(&what)))
    }
}
