//! Monitors, and which monitor watches a subject.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::event::outbox::{OUTBOX, Outbox, PendingEvent};
use crate::table::attribute::number;
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::item::{decode, encode, with_key};
use crate::table::key::{Key, StoredItem};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use domain::{AccountId, Mode, Monitor, MonitorId, MonitorKey, MonitorStatus, MonitorSubject, Notification};
use ports::Moment;

/// How many monitors one read returns at most.
pub const MONITORS_AT_ONCE: i32 = 100;

/// For how many days after its end a monitor is kept: longer than the key that it was created under, so that a retry of the
/// request finds it.
const ENDED_DAYS: i64 = 62;

/// A page of an account's monitors, the oldest first.
#[derive(Clone, Debug)]
pub struct MonitorPage {
    /// The monitors, including those that have ended or are being created.
    pub monitors: Vec<Monitor>,
    /// Those of them whose last event is not emitted yet.
    pub pending: Vec<MonitorId>,
    /// The last monitor of this page, if another page follows.
    pub next: Option<MonitorId>,
}

/// Which monitor watches a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectHolder {
    /// The monitor that asked.
    Ours,
    /// Another one.
    By(MonitorId),
}

#[derive(Serialize, Deserialize)]
struct MonitorItem {
    #[serde(flatten)]
    monitor: Monitor,
    #[serde(with = "chrono::serde::ts_seconds_option", default, skip_serializing_if = "Option::is_none")]
    ttl: Option<DateTime<Utc>>,
    /// The event about its last change, until it is emitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    out: Option<Outbox>,
}

/// How an event about a monitor is built, and when it is emitted.
#[derive(Clone, Copy)]
pub struct MonitorEvent {
    /// The notification about the monitor.
    pub notification: fn(Monitor) -> Notification,
    /// When it is emitted.
    pub moment: Moment,
}

/// A monitor that is to be saved, and its item.
struct MonitorChange {
    next: Monitor,
    item: StoredItem,
}

#[derive(Serialize, Deserialize)]
struct SubjectItem {
    monitor: MonitorId,
}

impl Ledger {
    /// A monitor, strongly consistent; `None` when there is no such monitor.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn monitor(&self, id: MonitorKey) -> Result<Option<Monitor>, Fault> {
        self.table.get(&Key::Monitor(id), "read a monitor").await?.map(read).transpose()
    }

    /// Saves a new monitor. If one with its id exists, that one stays.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn begin_monitor(&self, account: AccountId, monitor: &Monitor) -> Result<(), Fault> {
        self.table.put_new(monitor_item(account, monitor)?, "begin a monitor").await.map(|_| ())
    }

    /// Saves a monitor with its revision incremented and returns it; `None` when another process has saved it since it
    /// was read. The event about the change before is emitted first, if it is not yet.
    ///
    /// # Errors
    /// As [`Ledger::emit`].
    pub async fn save_monitor(
        &self,
        account: AccountId,
        monitor: &Monitor,
        moment: Moment,
    ) -> Result<Option<Monitor>, Fault> {
        let next = Monitor { revision: monitor.revision.saturating_add(1), ..monitor.clone() };
        let item = monitor_item(account, &next)?;
        self.replace_monitor(account, MonitorChange { next, item }, moment).await
    }

    /// As [`Ledger::save_monitor`], and emits an event about the saved monitor. The event is stored with the monitor until
    /// it is emitted.
    ///
    /// # Errors
    /// As [`Ledger::emit`]. The monitor may be saved and its event not emitted.
    pub async fn save_monitor_and_emit(
        &self,
        account: AccountId,
        monitor: &Monitor,
        event: MonitorEvent,
    ) -> Result<Option<Monitor>, Fault> {
        let MonitorEvent { notification, moment } = event;
        let next = Monitor { revision: monitor.revision.saturating_add(1), ..monitor.clone() };
        let mut item = monitor_item(account, &next)?;
        let notification = notification(next.clone());
        let event = PendingEvent::new(notification.source(), &notification, moment.now);
        if let Some(outbox) = self.outbox(account, vec![event]).await? {
            item.insert(OUTBOX.to_owned(), AttributeValue::M(encode(&outbox)?));
        }
        let saved = self.replace_monitor(account, MonitorChange { next, item }, moment).await?;
        let Some(saved) = saved else { return Ok(None) };
        self.emit_about_monitor(MonitorKey { account, monitor: saved.id }, moment).await?;
        Ok(Some(saved))
    }

    /// Emits the event about a monitor's last change, if it is not emitted yet.
    ///
    /// # Errors
    /// As [`Ledger::emit`].
    pub async fn emit_about_monitor(&self, id: MonitorKey, moment: Moment) -> Result<(), Fault> {
        let key = Key::Monitor(id);
        match self.stored_outbox(&key).await? {
            Some(outbox) => self.empty_outbox(id.account, &key, outbox, moment).await,
            None => Ok(()),
        }
    }

    /// Replaces the monitor of the revision before.
    async fn replace_monitor(
        &self,
        account: AccountId,
        MonitorChange { next, item }: MonitorChange,
        moment: Moment,
    ) -> Result<Option<Monitor>, Fault> {
        let id = MonitorKey { account, monitor: next.id };
        let condition = Condition::new("#revision = :known AND attribute_not_exists(#out)")
            .name("#revision", "revision")
            .name("#out", OUTBOX)
            .value(":known", number(next.revision.saturating_sub(1)));
        if !self.table.put_if(item.clone(), condition.clone(), "save a monitor").await? {
            self.emit_about_monitor(id, moment).await?;
            if !self.table.put_if(item, condition, "save a monitor").await? {
                let is_saved = self.monitor(id).await?.is_some_and(|known| known == next);
                return Ok(is_saved.then_some(next));
            }
        }
        Ok(Some(next))
    }

    /// Deletes a monitor that could not be created; `false` when another process has saved it since it was read.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn forget_monitor(&self, account: AccountId, monitor: &Monitor) -> Result<bool, Fault> {
        let key = Key::Monitor(MonitorKey { account, monitor: monitor.id });
        let condition = Condition::at("revision", Some(monitor.revision));
        self.table.delete_if(&key, condition, "delete a monitor").await
    }

    /// Takes a subject for a monitor: one monitor at a time watches it.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn take_subject(
        &self,
        account: AccountId,
        subject: &MonitorSubject,
        monitor: MonitorId,
    ) -> Result<SubjectHolder, Fault> {
        let item = with_key(&Key::Subject(account, subject), &SubjectItem { monitor })?;
        let Some(known) = self.table.put_new(item, "take a subject").await? else {
            return Ok(SubjectHolder::Ours);
        };
        let known: SubjectItem = decode("a subject", known)?;
        Ok(if known.monitor == monitor { SubjectHolder::Ours } else { SubjectHolder::By(known.monitor) })
    }

    /// Takes a subject over from a monitor that has ended; `false` when another monitor has done so.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn take_subject_over(
        &self,
        account: AccountId,
        subject: &MonitorSubject,
        from: MonitorId,
        to: MonitorId,
    ) -> Result<bool, Fault> {
        let item = with_key(&Key::Subject(account, subject), &SubjectItem { monitor: to })?;
        let condition = Condition::new("attribute_not_exists(pk) OR monitor IN (:from, :to)")
            .value(":from", AttributeValue::S(from.to_string()))
            .value(":to", AttributeValue::S(to.to_string()));
        self.table.put_if(item, condition, "take a subject over").await
    }

    /// Releases a subject, if the monitor watches it.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn free_subject(
        &self,
        account: AccountId,
        subject: &MonitorSubject,
        monitor: MonitorId,
    ) -> Result<(), Fault> {
        let condition = Condition::equal("monitor", AttributeValue::S(monitor.to_string()));
        self.table.delete_if(&Key::Subject(account, subject), condition, "free a subject").await.map(|_| ())
    }

    /// The id of the monitor that was created last; `None` before the first.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn last_monitor(&self, account: AccountId) -> Result<Option<MonitorId>, Fault> {
        let query = ItemQuery::all(format!("MON#{account}")).falling().limit(1);
        let last = self.table.query(query, "read monitors").await?.items.into_iter().next();
        Ok(last.map(read).transpose()?.map(|last| last.id))
    }

    /// The monitors of an account that were created after `after`, the oldest first; at most `limit`.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn monitors(
        &self,
        account: AccountId,
        after: Option<MonitorId>,
        limit: i32,
    ) -> Result<MonitorPage, Fault> {
        let keys = after.map_or(SortKeys::All, |after| SortKeys::After(after.bare()));
        let query = ItemQuery::new(format!("MON#{account}"), keys).limit(limit);
        let page = self.table.query(query, "read monitors").await?;
        let is_pending = |item: &&StoredItem| item.contains_key(OUTBOX);
        let pending: Vec<_> =
            page.items.iter().filter(is_pending).cloned().map(read).collect::<Result<_, _>>()?;
        let pending = pending.into_iter().map(|monitor| monitor.id).collect();
        let monitors: Vec<Monitor> = page.items.into_iter().map(read).collect::<Result<_, _>>()?;
        let next = monitors.last().map(|last| last.id).filter(|_| page.last.is_some());
        Ok(MonitorPage { monitors, pending, next })
    }
}

/// The item of a monitor.
fn monitor_item(account: AccountId, monitor: &Monitor) -> Result<StoredItem, Fault> {
    let ttl = match monitor.status {
        // The table deletes by real time, and a test ledger's clock may be behind it.
        MonitorStatus::Ended { at } if account.mode == Mode::Live => {
            at.checked_add_signed(Duration::try_days(ENDED_DAYS).unwrap_or_default())
        }
        MonitorStatus::Pending
        | MonitorStatus::Active
        | MonitorStatus::Suspended { .. }
        | MonitorStatus::Ended { .. } => None,
    };
    let item = MonitorItem { monitor: monitor.clone(), ttl, out: None };
    with_key(&Key::Monitor(MonitorKey { account, monitor: monitor.id }), &item)
}

fn read(item: StoredItem) -> Result<Monitor, Fault> {
    decode::<MonitorItem>("a monitor", item).map(|item| item.monitor)
}
