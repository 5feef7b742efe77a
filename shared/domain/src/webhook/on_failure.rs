//! What follows when an endpoint does not accept an event: block or skip.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ATTEMPTS_MAX;

/// What follows when an endpoint does not accept an event. The owner sets it for each endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum OnFailure {
    /// The event blocks later events. After its last attempt the endpoint is paused.
    #[default]
    Block,
    /// The event is skipped after this number of attempts, and the next event is delivered.
    Skip {
        /// From 1 to [`ATTEMPTS_MAX`].
        after_attempts: u32,
    },
}

/// The events of an endpoint that were skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkippedEvents {
    /// How many there are, at most one for each event and replay of it.
    pub count: u64,
    /// The number of the latest one.
    pub number: u64,
    /// When the latest one was skipped, in milliseconds.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub at: DateTime<Utc>,
}

impl OnFailure {
    /// Skips an event after this number of attempts; `None` unless it is from 1 to [`ATTEMPTS_MAX`].
    #[must_use]
    pub fn skip_after(attempts: u32) -> Option<Self> {
        (1..=ATTEMPTS_MAX).contains(&attempts).then_some(Self::Skip { after_attempts: attempts })
    }

    /// The maximum number of attempts at one event.
    #[must_use]
    pub fn attempts_max(self) -> u32 {
        match self {
            Self::Block => ATTEMPTS_MAX,
            Self::Skip { after_attempts } => after_attempts.clamp(1, ATTEMPTS_MAX),
        }
    }
}
