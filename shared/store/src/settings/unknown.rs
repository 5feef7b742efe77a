//! What was looked for in the settings table and not found. It is remembered for a moment, so that a caller with a wrong name
//! does not cause a read for each request.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use crate::settings::change_log::CHECKED_EVERY;

/// How many unknown names a process remembers. At this number all are dropped.
const UNKNOWN_MAX: usize = 10_000;

/// Names that were not found, and when.
#[derive(Debug)]
pub(crate) struct Unknown<K>(Mutex<HashMap<K, DateTime<Utc>>>);

impl<K> Default for Unknown<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Unknown<K> {
    /// Whether a name was not found in the last five seconds.
    pub(crate) fn contain(&self, name: &K, wall: DateTime<Utc>) -> bool {
        self.names().get(name).is_some_and(|since| wall.signed_duration_since(*since) < CHECKED_EVERY)
    }

    pub(crate) fn add(&self, name: K, wall: DateTime<Utc>) {
        let mut names = self.names();
        if UNKNOWN_MAX <= names.len() {
            names.clear();
        }
        names.insert(name, wall);
    }

    pub(crate) fn remove(&self, name: &K) {
        self.names().remove(name);
    }

    fn names(&self) -> MutexGuard<'_, HashMap<K, DateTime<Utc>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
