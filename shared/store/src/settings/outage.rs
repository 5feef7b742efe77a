//! What is logged while the settings table does not answer.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::settings::last_known::Known;

/// What is logged when settings serve that could not be read again. `SettingsUnread` in the functions' function.yaml
/// counts these lines.
pub const SETTINGS_UNREAD: &str = "settings cannot be read, and the last known ones are used";

/// A process logs this at most once in this time.
const LOGGED_EVERY: TimeDelta = TimeDelta::seconds(5);

/// When it was last logged.
#[derive(Debug, Default)]
pub(crate) struct OutageLog(Mutex<Option<DateTime<Utc>>>);

impl OutageLog {
    /// Logs that a value serves which could not be read again, and returns it as it is.
    pub(crate) fn note<V>(&self, known: Known<V>, what: &'static str, wall: DateTime<Utc>) -> Known<V> {
        if known.is_unread && self.is_new(wall) {
            tracing::warn!(what, is_current = known.is_current, "{SETTINGS_UNREAD}");
        }
        known
    }

    /// Logs that something cannot be read, so that what is known serves as it is.
    pub(crate) fn note_unread(&self, what: &'static str, wall: DateTime<Utc>) {
        if self.is_new(wall) {
            tracing::warn!(what, is_current = true, "{SETTINGS_UNREAD}");
        }
    }

    fn is_new(&self, wall: DateTime<Utc>) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = last.is_none_or(|last| wall.signed_duration_since(last) >= LOGGED_EVERY);
        if is_new {
            *last = Some(wall);
        }
        is_new
    }
}
