//! The feed of an account: its events, numbered without a gap, each written once.

use aws_sdk_dynamodb::types::Put;
use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use crate::record::monitors::monitor_item;
use crate::table::attribute::{sort_key, text_of};
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::expiry::after_days;
use crate::table::item::{decode, with_key};
use crate::table::key::{Key, StoredItem};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::stream_image::StreamImage;
use domain::{AccountId, Event, Monitor, MonitorKey, Notification};
use ports::Moment;

/// For how many days events are kept. The contract promises 30; a caller that reads on the last day still finds them.
const EVENT_DAYS: i64 = 32;

/// For how many days the emission of an event is recorded: longer than the longest notice before an expiry
/// ([`AlertSettings::DAYS_MAX`](domain::AlertSettings::DAYS_MAX)), so that it is not emitted again.
const EMITTED_DAYS: i64 = 100;

/// How often an event may lose its number to another one.
const ATTEMPTS_MAX: u32 = 16;

#[derive(Serialize, Deserialize)]
struct EventItem {
    name: String,
    #[serde(with = "chrono::serde::ts_seconds")]
    at: DateTime<Utc>,
    /// JSON.
    data: String,
    #[serde(with = "chrono::serde::ts_seconds")]
    ttl: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct EventHeadItem {
    number: u64,
}

#[derive(Serialize, Deserialize)]
struct EmittedItem {
    #[serde(with = "chrono::serde::ts_seconds")]
    ttl: DateTime<Utc>,
}

/// A notification that becomes an event once it has a number.
#[derive(Clone, Copy)]
pub(crate) struct PendingEvent<'a> {
    pub(crate) notification: &'a Notification,
    /// When the notified change happened.
    pub(crate) at: DateTime<Utc>,
}

/// How an event about a monitor is built, and when it is emitted.
#[derive(Clone, Copy)]
pub struct MonitorEvent {
    /// The notification about the monitor.
    pub notification: fn(Monitor) -> Notification,
    /// When it is emitted.
    pub moment: Moment,
}

/// A monitor that is saved together with its event.
#[derive(Clone, Copy)]
struct MonitorSave<'a> {
    monitor: &'a Monitor,
    /// The revision of the stored monitor.
    revision: u64,
}

impl Ledger {
    /// Emits a notification as an event, unless it was emitted before: one transaction writes the event with the next
    /// number and records the emission. Numbers have no gap.
    ///
    /// # Errors
    /// When the table does not answer; when too many other events are emitted at once.
    pub async fn emit(
        &self,
        account: AccountId,
        notification: &Notification,
        moment: Moment,
    ) -> Result<(), Fault> {
        self.emit_with(account, notification, moment, None).await.map(|_| ())
    }

    /// Whether a notification was emitted.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn was_emitted(&self, account: AccountId, notification: &Notification) -> Result<bool, Fault> {
        let key = notification.source();
        let emitted = self.table.get(&Key::Emitted(account, &key), "look for an emitted event").await?;
        Ok(emitted.is_some())
    }

    /// Saves a monitor with its revision incremented and emits an event about it: both or neither. Returns the saved
    /// monitor; `None` when another process has saved it since it was read.
    ///
    /// # Errors
    /// As [`Ledger::emit`].
    pub async fn save_monitor_and_emit(
        &self,
        account: AccountId,
        monitor: &Monitor,
        event: MonitorEvent,
    ) -> Result<Option<Monitor>, Fault> {
        let next = Monitor { revision: monitor.revision.saturating_add(1), ..monitor.clone() };
        let notification = (event.notification)(next.clone());
        let save = MonitorSave { monitor: &next, revision: monitor.revision };
        let saved = self.emit_with(account, &notification, event.moment, Some(save)).await?;
        Ok(saved.then_some(next))
    }

    /// `false` when another process has saved the monitor since it was read.
    async fn emit_with(
        &self,
        account: AccountId,
        notification: &Notification,
        moment: Moment,
        save: Option<MonitorSave<'_>>,
    ) -> Result<bool, Fault> {
        let source = notification.source();
        let key = Key::Emitted(account, &source);
        let emitted = EmittedItem { ttl: after_days(moment, EMITTED_DAYS) };
        for _ in 0..ATTEMPTS_MAX {
            if self.table.get(&key, "look for an emitted event").await?.is_some() {
                return Ok(true);
            }
            let mut puts = vec![self.event_put(with_key(&key, &emitted)?, Condition::absent())?];
            if let Some(MonitorSave { monitor, revision }) = save {
                let item = monitor_item(account, monitor)?;
                puts.push(self.event_put(item, Condition::at("revision", Some(revision)))?);
            }
            let event = PendingEvent { notification, at: moment.now };
            if self.write_events(account, &[event], puts, moment).await? {
                return Ok(true);
            }
            if let Some(MonitorSave { monitor, revision }) = save {
                let known = self.monitor(MonitorKey { account, monitor: monitor.id }).await?;
                if known.is_none_or(|known| known.revision != revision && known != *monitor) {
                    return Ok(false);
                }
            }
        }
        Err(Fault::Busy)
    }

    /// Writes events with the next numbers together with other writes: all or nothing. `false` when a condition failed:
    /// the caller then reads again and retries.
    pub(crate) async fn write_events(
        &self,
        account: AccountId,
        events: &[PendingEvent<'_>],
        mut puts: Vec<Put>,
        moment: Moment,
    ) -> Result<bool, Fault> {
        if !events.is_empty() {
            let last = self.event_head(account).await?;
            let mut number = last.unwrap_or(0);
            for event in events {
                number = number.saturating_add(1);
                let item = with_key(&Key::Event(account, number), &event.item(moment))?;
                puts.push(self.event_put(item, Condition::absent())?);
            }
            let head = with_key(&Key::EventHead(account), &EventHeadItem { number })?;
            puts.push(self.event_put(head, Condition::at("number", last))?);
        }
        self.table.put_together(puts, "emit an event").await
    }

    /// The number of an account's last event; `None` before the first.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn event_head(&self, account: AccountId) -> Result<Option<u64>, Fault> {
        let head = self.table.get(&Key::EventHead(account), "read the number of events").await?;
        let head: Option<EventHeadItem> =
            head.map(|head| decode("the number of events", head)).transpose()?;
        Ok(head.map(|head| head.number))
    }

    /// The events of an account after number `after`, the oldest first, at most `limit`; and whether there are more.
    ///
    /// # Errors
    /// When the table does not answer; when an event is unreadable.
    pub async fn events(
        &self,
        account: AccountId,
        after: u64,
        limit: i32,
    ) -> Result<(Vec<Event>, bool), Fault> {
        let query = ItemQuery::new(format!("EVENTS#{account}"), SortKeys::After(format!("{after:016}")));
        // One more than asked for: only that shows whether a full page is the last.
        let page = self.table.query(query.limit(limit.saturating_add(1)), "read events").await?;
        let mut events: Vec<Event> = page.items.into_iter().map(read).collect::<Result<_, _>>()?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = most < events.len() || page.last.is_some();
        events.truncate(most);
        Ok((events, more))
    }

    /// A write that goes into the transaction of an event.
    pub(crate) fn event_put(&self, item: StoredItem, condition: Condition) -> Result<Put, Fault> {
        self.table.conditional_put(item, condition, "emit an event")
    }
}

impl PendingEvent<'_> {
    fn item(&self, moment: Moment) -> EventItem {
        EventItem {
            name: self.notification.name().as_str().to_owned(),
            at: self.at.trunc_subsecs(0),
            data: self.notification.data().to_string(),
            ttl: after_days(moment, EVENT_DAYS),
        }
    }
}

/// Reads an event and its account from an image of the stream; `None` for an item of another kind.
///
/// # Errors
/// [`Fault::Corrupt`] for an event's item that is unreadable.
pub fn event_image(image: StreamImage) -> Result<Option<(AccountId, Event)>, Fault> {
    let image = StoredItem::from(image);
    let Some(name) = text_of(&image, "pk").and_then(|pk| pk.strip_prefix("EVENTS#")) else {
        return Ok(None);
    };
    let account = name.parse().map_err(|_| Fault::corrupt("an event", "its key"))?;
    Ok(Some((account, read(image)?)))
}

fn read(item: StoredItem) -> Result<Event, Fault> {
    let number = sort_key(&item).and_then(|digits| digits.parse().ok());
    let number = number.ok_or_else(|| Fault::corrupt("an event", "its number"))?;
    let EventItem { name, at, data, .. } = decode("an event", item)?;
    let data = serde_json::from_str(&data).map_err(|source| Fault::corrupt("an event", source))?;
    Ok(Event { number, name, at, data })
}
