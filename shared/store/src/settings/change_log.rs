//! The log of changed settings, by which warm functions notice within seconds what others have changed.
//!
//! One item counts the changes and names what the last of them changed. A process that changes a setting writes the setting
//! first, then the log; a success is answered after both. A function reads the log at most once in [`CHECKED_EVERY`], and forgets
//! what has changed since. So it serves nothing that was changed longer ago, and reads one item for it, however many keys it
//! knows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::settings::last_known::REFRESH_TIMEOUT;
use crate::settings::organisations::Settings;
use crate::table::attribute::number;
use crate::table::backoff::backoff;
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::item::decode;
use crate::table::key::Key;
use crate::table::settings_key::SettingsKey;
use domain::OrgId;

/// A function reads the log again after this time. Values that were read less than this long ago serve without it.
pub(crate) const CHECKED_EVERY: TimeDelta = TimeDelta::seconds(5);

/// How many changes the log names. A function that has missed more reads everything again.
const NAMED_MAX: usize = 64;

/// How often a change is logged again because another one was logged first.
const ATTEMPTS_MAX: u32 = 64;

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ChangedSetting {
    /// An organisation, a key or a member of it, or their sessions.
    Organisation(OrgId),
    /// An operator's key, or its sessions.
    Operators,
    /// A part of the catalogue.
    Catalogue,
}

/// The log as it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct StoredLog {
    /// How many changes there were.
    #[serde(default)]
    count: u64,
    /// What the last of them changed, the newest last.
    #[serde(default)]
    last: Vec<ChangedSetting>,
}

/// What a process knows of the log. Times are of the system clock.
#[derive(Debug, Default)]
pub(crate) struct ChangeLog {
    seen: Mutex<Seen>,
    /// Held by the request that reads the log, for which the others wait.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// How many changes there were at the last check; `None` before the first.
    count: Option<u64>,
    /// When the last check began, also one that has failed.
    checked: Option<DateTime<Utc>>,
}

/// What a process has to forget or to read again.
#[derive(Debug, PartialEq, Eq)]
enum Missed<'a> {
    These(&'a [ChangedSetting]),
    /// The log does not name all of them.
    Unknown,
}

impl ChangedSetting {
    /// The keys of an organisation, or of the operators.
    pub(crate) fn keys_of(owner: Option<OrgId>) -> Self {
        owner.map_or(Self::Operators, Self::Organisation)
    }
}

impl StoredLog {
    fn since(&self, seen: Option<u64>) -> Missed<'_> {
        let missed = seen.and_then(|seen| self.count.checked_sub(seen));
        let missed = missed.and_then(|missed| usize::try_from(missed).ok());
        let named = missed.and_then(|missed| self.last.len().checked_sub(missed));
        named.and_then(|first| self.last.get(first..)).map_or(Missed::Unknown, Missed::These)
    }

    fn with(mut self, change: ChangedSetting) -> Self {
        self.count = self.count.saturating_add(1);
        self.last.push(change);
        let surplus = self.last.len().saturating_sub(NAMED_MAX);
        self.last.drain(..surplus);
        self
    }
}

impl ChangeLog {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self, wall: DateTime<Utc>) -> bool {
        let checked = self.seen().checked;
        checked.is_none_or(|checked| CHECKED_EVERY <= wall.signed_duration_since(checked))
    }
}

impl Settings {
    /// Forgets what others have changed, before a value that was read at `read` serves at `wall`. Reads the log at most once
    /// in five seconds, and not for a value that was read less than five seconds ago. If the log does not answer, what is
    /// known serves as before.
    pub(crate) async fn forget_changed(&self, read: Option<DateTime<Utc>>, wall: DateTime<Utc>) {
        let is_fresh = read.is_none_or(|read| wall.signed_duration_since(read) < CHECKED_EVERY);
        if is_fresh || !self.changes.is_due(wall) {
            return;
        }
        let _turn = self.changes.turn.lock().await;
        // Another request may have read it meanwhile.
        if !self.changes.is_due(wall) {
            return;
        }
        let log = timeout(REFRESH_TIMEOUT, self.change_log()).await;
        let seen = self.changes.seen().count;
        self.changes.seen().checked = Some(wall);
        let Ok(Ok(log)) = log else {
            self.log.note_unread("the log of changed settings", wall);
            return;
        };
        match log.since(seen) {
            Missed::These(changes) => changes.iter().for_each(|change| self.forget(*change)),
            Missed::Unknown => {
                self.keys.expire();
                self.switches.expire();
                self.members.expire();
                self.signed_in_members.expire();
                self.sign_ins.expire();
                self.catalogue.expire();
            }
        }
        self.changes.seen().count = Some(log.count);
    }

    /// Forgets a setting here, and logs its change for all other processes.
    ///
    /// # Errors
    /// When the table does not answer: the change was made, but others may notice it only within a minute. The caller
    /// repeats the request.
    pub(crate) async fn log_change(&self, change: ChangedSetting) -> Result<(), Fault> {
        self.forget(change);
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let log = self.change_log().await?;
            let (seen, log) = (log.count, log.with(change));
            let last = serde_dynamo::to_attribute_value(&log.last);
            let last = last.map_err(|source| Fault::corrupt("the log of changed settings", source))?;
            let condition = if seen == 0 { "attribute_not_exists(pk)" } else { "#count = :seen" };
            let update = UpdateExpression::new("SET #count = :count, #last = :last")
                .only_if(condition)
                .name("#count", "count")
                .name("#last", "last")
                .value(":count", number(log.count))
                .value(":last", last);
            let update = if seen == 0 { update } else { update.value(":seen", number(seen)) };
            if self
                .table
                .update(&Key::Settings(SettingsKey::ChangeLog), update, "log a changed setting")
                .await?
            {
                return Ok(());
            }
        }
        Err(Fault::Busy)
    }

    fn forget(&self, change: ChangedSetting) {
        match change {
            ChangedSetting::Organisation(org) => {
                self.keys.forget(|_, known| known.key.org == Some(org));
                self.signed_in_members.forget(|(of, _), _| *of == org);
                self.sign_ins.forget(|owner, _| owner.org() == Some(org));
                self.organisations.forget(|known, _| *known == org);
                self.switches.forget(|known, _| *known == org);
                self.members.forget(|(of, _), ()| *of == org);
            }
            ChangedSetting::Operators => {
                self.keys.forget(|_, known| known.key.org.is_none());
                self.sign_ins.forget(|owner, _| owner.is_operator());
            }
            ChangedSetting::Catalogue => self.catalogue.forget(|(), _| true),
        }
    }

    async fn change_log(&self) -> Result<StoredLog, Fault> {
        let item = self
            .table
            .get(&Key::Settings(SettingsKey::ChangeLog), "read which settings have changed")
            .await?;
        item.map_or(Ok(StoredLog::default()), |item| decode("the log of changed settings", item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(changes: u64) -> StoredLog {
        (0..changes).fold(StoredLog::default(), |log, _| log.with(ChangedSetting::Catalogue))
    }

    #[test]
    fn a_process_forgets_what_has_changed_since_its_last_check() {
        let log = log(10).with(ChangedSetting::Operators);
        assert_eq!(log.since(Some(11)), Missed::These(&[]));
        assert_eq!(log.since(Some(10)), Missed::These(&[ChangedSetting::Operators]));
        let both = [ChangedSetting::Catalogue, ChangedSetting::Operators];
        assert_eq!(log.since(Some(9)), Missed::These(&both));
        assert_eq!(log.since(None), Missed::Unknown);
        assert_eq!(log.since(Some(12)), Missed::Unknown, "the log was lost and began anew");
    }

    #[test]
    fn a_process_that_has_missed_more_than_the_log_names_is_told_so() {
        let log = log(100);
        assert_eq!((log.count, log.last.len()), (100, NAMED_MAX));
        assert!(matches!(log.since(Some(36)), Missed::These(all) if all.len() == NAMED_MAX));
        assert_eq!(log.since(Some(35)), Missed::Unknown);
    }
}
