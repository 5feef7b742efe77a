//! Events about API keys that spend far more than they used to.

use serde_json::{Value, json};

use crate::value::timestamp;
use crate::{Actor, ApiKey, EventName, KeyPause, RunawayKey};

/// Something about an API key that spends far more than it used to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunawayNotice {
    /// It was found.
    Found {
        /// The key.
        runaway: RunawayKey,
        /// Whether it was paused.
        is_paused: bool,
    },
    /// Its owner has ended its pause.
    Resumed {
        /// The key, after it.
        key: Box<ApiKey>,
        /// The pause.
        pause: KeyPause,
        /// Who has done it.
        by: Actor,
    },
}

impl RunawayNotice {
    pub(super) fn name(&self) -> EventName {
        match self {
            Self::Found { .. } => EventName::KeyRunaway,
            Self::Resumed { .. } => EventName::KeyResumed,
        }
    }

    pub(super) fn source(&self) -> String {
        match self {
            Self::Found { runaway, .. } => {
                format!("key runaway/{}/{}", runaway.key, runaway.hour.timestamp())
            }
            Self::Resumed { key, pause, .. } => {
                format!("key resumed/{}/{}", key.key_id, pause.paused_at.timestamp())
            }
        }
    }

    pub(super) fn data(&self) -> Value {
        match self {
            Self::Found { runaway, is_paused } => found(*runaway, *is_paused),
            Self::Resumed { key, pause, by } => json!({
                "keyId": key.key_id,
                "name": key.name,
                "pausedAt": timestamp(pause.paused_at),
                "by": by,
                "message": "An API key was resumed",
            }),
        }
    }
}

fn found(RunawayKey { key, hour, spent, busiest }: RunawayKey, is_paused: bool) -> Value {
    json!({
        "keyId": key,
        "hour": timestamp(hour),
        "spent": spent,
        "busiest": busiest,
        "action": if is_paused { "paused" } else { "announced" },
        "resume": is_paused.then(|| format!("POST /api/v3/api-keys/{key}/resume")),
        "message": if is_paused {
            "An API key spends far more than it used to, and is paused until you resume it"
        } else {
            "An API key spends far more than it used to; if it may have leaked, roll or revoke it"
        },
    })
}
