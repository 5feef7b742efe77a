//! On which day a key was last used.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::settings::organisations::Settings;
use crate::table::attribute::text_of;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::settings_key::last_use_partition;
use domain::{ApiKey, KeyId, OrgId};

/// How long a request waits for the write. It is made again with the next request.
const WRITE_TIMEOUT: Duration = Duration::from_millis(250);

/// For how long a process writes no day after one could not be written.
const PAUSE: TimeDelta = TimeDelta::seconds(5);

/// How many keys a process remembers. At this number all are dropped.
const REMEMBERED_MAX: usize = 10_000;

/// The days of use that this process has written. A process writes a key's day once, so a key costs a write a day and
/// process.
#[derive(Debug, Default)]
pub(crate) struct KeyUses {
    days: Mutex<HashMap<KeyId, NaiveDate>>,
    /// Until when nothing is written, because the table did not answer.
    paused: Mutex<Option<DateTime<Utc>>>,
}

#[derive(Serialize, Deserialize)]
struct KeyUseItem {
    day: NaiveDate,
}

impl KeyUses {
    fn is_written(&self, key: KeyId, day: NaiveDate) -> bool {
        self.days.lock().unwrap_or_else(PoisonError::into_inner).get(&key) == Some(&day)
    }

    fn remember(&self, key: KeyId, day: NaiveDate) {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        if REMEMBERED_MAX <= days.len() {
            days.clear();
        }
        days.insert(key, day);
    }

    fn is_paused(&self, now: DateTime<Utc>) -> bool {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        paused.is_some_and(|until| now < until)
    }

    fn pause(&self, now: DateTime<Utc>) {
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = now.checked_add_signed(PAUSE);
    }
}

impl Settings {
    /// Writes that a key was used at `now`, once a day and process. A day that cannot be written is left out: a request does not fail for it.
    pub async fn note_use(&self, key: &ApiKey, now: DateTime<Utc>) {
        let day = now.date_naive();
        if self.key_uses.is_written(key.key_id, day) || self.key_uses.is_paused(now) {
            return;
        }
        let Ok(item) = with_key(&Key::last_use(key.org, key.key_id), &KeyUseItem { day }) else { return };
        let written = timeout(WRITE_TIMEOUT, self.table.put(item, "write when a key was used")).await;
        if matches!(written, Ok(Ok(()))) {
            self.key_uses.remember(key.key_id, day);
        } else {
            self.key_uses.pause(now);
            tracing::debug!(key = %key.key_id, "the day on which a key was used was not written");
        }
    }

    /// The days on which keys were last used, of the keys from `first` to `last`. A key that was never used is missing.
    ///
    /// # Errors
    /// When the table does not answer.
    pub(crate) async fn uses(
        &self,
        owner: Option<OrgId>,
        first: KeyId,
        last: KeyId,
    ) -> Result<BTreeMap<String, NaiveDate>, Fault> {
        let keys = SortKeys::Between(first.to_string(), last.to_string());
        let query = ItemQuery::new(last_use_partition(owner), keys);
        let items = self.table.query_all(query, "read when keys were used").await?;
        let day = |item| {
            let key = text_of(&item, "sk").unwrap_or_default().to_owned();
            decode::<KeyUseItem>("the day on which a key was used", item).map(|used| (key, used.day))
        };
        items.into_iter().map(day).collect()
    }
}
