//! Values that a warm function has read from the settings table, and how they serve while the table does not answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::timeout;

use crate::table::error::Fault;
use ports::random;

/// A value that was read less than this long ago is current: a request that changes settings may decide on it.
const CURRENT: TimeDelta = TimeDelta::seconds(60);

/// A value is read again at an age between this and [`CURRENT`], at random, so that functions that started together do
/// not all read in the same second.
const REFRESHED_FROM: TimeDelta = TimeDelta::seconds(45);

/// A value that cannot be read again serves until it is this old. A revoked key may be accepted that much longer.
const SERVES_FOR: TimeDelta = TimeDelta::minutes(15);

/// After a read that failed, the value is not read again for this long.
const PAUSE: TimeDelta = TimeDelta::seconds(5);

/// How long a read may take if there is a value that can serve in its place: enough for one lost packet.
pub(crate) const REFRESH_TIMEOUT: Duration = Duration::from_secs(2);

/// How many values are kept. At this number all are dropped.
const VALUES_MAX: usize = 10_000;

/// When values are read again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refresh {
    /// Before they are a minute old.
    WithinAMinute,
    /// For each request.
    Always,
}

/// A value, and how far it can be relied on.
#[derive(Clone, Debug)]
pub(crate) struct Known<V> {
    pub(crate) value: V,
    /// Whether it is less than a minute old.
    pub(crate) is_current: bool,
    /// Whether it serves because it could not be read again.
    pub(crate) is_unread: bool,
}

/// The values of one kind that were read, by their keys. Times are of the system clock.
#[derive(Debug)]
pub(crate) struct LastKnown<K, V> {
    refresh: Refresh,
    values: Mutex<Values<K, V>>,
}

#[derive(Debug)]
struct Values<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// How often values were forgotten: a read that began before that is not kept after it.
    forgotten: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    read: DateTime<Utc>,
    due: DateTime<Utc>,
    /// When the last attempt to read it again failed; `None` after it was read.
    failed: Option<DateTime<Utc>>,
    /// Held by the request that reads it again, for which the others wait.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What is known of a value without reading it.
enum Look<V> {
    /// It serves as it is; or reading it has just failed and it is too old to serve.
    Decided(Result<Known<V>, Fault>),
    /// It has to be read again; until when it serves if that fails.
    Due(Arc<tokio::sync::Mutex<()>>, Option<Known<V>>),
    /// It is not known.
    Unknown,
}

impl<K: Eq + Hash + Clone, V: Clone> LastKnown<K, V> {
    pub(crate) fn new(refresh: Refresh) -> Self {
        Self { refresh, values: Mutex::new(Values { entries: HashMap::new(), forgotten: 0 }) }
    }

    /// A value as last read, or as `read` reads it now; `None` when it does not exist. If `read` fails because the table
    /// does not answer, the last known value serves. What is not known is read for each request.
    ///
    /// # Errors
    /// As `read`, when no value can serve.
    pub(crate) async fn get(
        &self,
        key: &K,
        wall: DateTime<Utc>,
        read: impl Future<Output = Result<Option<V>, Fault>>,
    ) -> Result<Option<Known<V>>, Fault> {
        let turn = match self.look(key, wall) {
            Look::Decided(known) => return known.map(Some),
            Look::Due(turn, _) => Some(turn),
            Look::Unknown => None,
        };
        let _turn = match &turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        let forgotten = self.values().forgotten;
        // Another request may have read it meanwhile, or failed to.
        let last = match self.look(key, wall) {
            Look::Decided(known) => return known.map(Some),
            Look::Due(_, last) => last,
            Look::Unknown => None,
        };
        let outcome = match &last {
            Some(_) => {
                timeout(REFRESH_TIMEOUT, read).await.unwrap_or_else(|_| Err(unread("it takes too long")))
            }
            None => read.await,
        };
        match outcome {
            Ok(value) => {
                self.keep(key, wall, value.clone(), forgotten);
                Ok(value.map(|value| Known { value, is_current: true, is_unread: false }))
            }
            Err(fault @ Fault::Unavailable { .. }) => {
                self.note_failure(key, wall);
                last.map(Some).ok_or(fault)
            }
            Err(
                fault @ (Fault::Busy
                | Fault::Backlogged
                | Fault::Corrupt { .. }
                | Fault::BrokenAccount { .. }),
            ) => Err(fault),
        }
    }

    /// Keeps a value that was read in passing.
    pub(crate) fn put(&self, key: &K, wall: DateTime<Utc>, value: V) {
        let forgotten = self.values().forgotten;
        self.keep(key, wall, Some(value), forgotten);
    }

    /// Forgets the values that `is_gone` names, and what is being read now.
    pub(crate) fn forget(&self, is_gone: impl Fn(&K, &V) -> bool) {
        let mut values = self.values();
        values.entries.retain(|key, entry| !is_gone(key, &entry.value));
        values.forgotten = values.forgotten.saturating_add(1);
    }

    /// When a value was last read; `None` if it is not known.
    pub(crate) fn read_at(&self, key: &K) -> Option<DateTime<Utc>> {
        self.values().entries.get(key).map(|entry| entry.read)
    }

    /// Has every value read again before it serves, unless the table does not answer.
    pub(crate) fn expire(&self) {
        let mut values = self.values();
        values.entries.values_mut().for_each(|entry| entry.due = entry.read);
        values.forgotten = values.forgotten.saturating_add(1);
    }

    fn look(&self, key: &K, wall: DateTime<Utc>) -> Look<V> {
        let values = self.values();
        let Some(entry) = values.entries.get(key) else { return Look::Unknown };
        let age = wall.signed_duration_since(entry.read);
        let known = |is_unread| Known { value: entry.value.clone(), is_current: age < CURRENT, is_unread };
        if wall < entry.due {
            return Look::Decided(Ok(known(false)));
        }
        let last = (age < SERVES_FOR).then(|| known(true));
        match entry.failed {
            Some(failed) if wall.signed_duration_since(failed) < PAUSE => {
                Look::Decided(last.ok_or_else(|| unread("it did not answer a moment ago")))
            }
            Some(_) | None => Look::Due(entry.turn.clone(), last),
        }
    }

    fn keep(&self, key: &K, wall: DateTime<Utc>, value: Option<V>, forgotten: u64) {
        let mut values = self.values();
        if values.forgotten != forgotten {
            return;
        }
        let Some(value) = value else {
            values.entries.remove(key);
            return;
        };
        let due = self.refresh.due(wall, random());
        if let Some(entry) = values.entries.get_mut(key) {
            *entry = Entry { value, read: wall, due, failed: None, turn: entry.turn.clone() };
            return;
        }
        if values.entries.len() >= VALUES_MAX {
            values.entries.clear();
        }
        let entry = Entry { value, read: wall, due, failed: None, turn: Arc::default() };
        values.entries.insert(key.clone(), entry);
    }

    fn note_failure(&self, key: &K, wall: DateTime<Utc>) {
        if let Some(entry) = self.values().entries.get_mut(key) {
            entry.failed = Some(wall);
        }
    }

    /// The lock is never held across a read.
    fn values(&self) -> MutexGuard<'_, Values<K, V>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Refresh {
    /// When a value that was read at `wall` is read again.
    fn due(self, wall: DateTime<Utc>, random: u128) -> DateTime<Utc> {
        let after = match self {
            Self::WithinAMinute => {
                let spread = CURRENT.checked_sub(&REFRESHED_FROM).unwrap_or_default().num_milliseconds();
                let spread = u128::try_from(spread).unwrap_or_default().saturating_add(1);
                let extra = random.checked_rem(spread).and_then(|extra| i64::try_from(extra).ok());
                REFRESHED_FROM.checked_add(&TimeDelta::milliseconds(extra.unwrap_or_default()))
            }
            Self::Always => None,
        };
        wall.checked_add_signed(after.unwrap_or_default()).unwrap_or(wall)
    }
}

fn unread(why: &'static str) -> Fault {
    Fault::unavailable("read the settings", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_is_due_at_a_random_age_below_a_minute() {
        let read = DateTime::UNIX_EPOCH;
        let age = |random| (Refresh::WithinAMinute.due(read, random) - read).num_milliseconds();
        assert_eq!([0, 1, 15_000, 15_001].map(age), [45_000, 45_001, 60_000, 45_000]);
        assert!((0..10_000).map(|_| age(random())).all(|age| (45_000..=60_000).contains(&age)));
        assert_eq!(Refresh::Always.due(read, 7), read);
    }
}
