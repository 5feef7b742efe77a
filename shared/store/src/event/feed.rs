//! The feed of an account: its events, numbered without a gap, each written once.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::outbox::{Outbox, PendingEvent};
use crate::table::attribute::{sort_key, text_of};
use crate::table::error::Fault;
use crate::table::expiry::after_days;
use crate::table::item::{decode, with_key};
use crate::table::key::{Key, StoredItem, event_partition};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::stream_image::StreamImage;
use domain::{AccountId, Event, Notification};
use ports::Moment;

/// For how many days the emission of an event is recorded: longer than the longest notice before an expiry
/// ([`AlertSettings::DAYS_MAX`](domain::AlertSettings::DAYS_MAX)), so that it is not emitted again.
const EMITTED_DAYS: i64 = 100;

/// What the item is that says that an event was emitted.
const EMISSION: &str = "the emission of an event";

#[derive(Deserialize)]
struct EventItem {
    name: String,
    #[serde(with = "chrono::serde::ts_seconds")]
    at: DateTime<Utc>,
    /// JSON.
    data: String,
}

#[derive(Serialize, Deserialize)]
struct EmittedItem {
    #[serde(with = "chrono::serde::ts_seconds")]
    ttl: DateTime<Utc>,
    /// Its event, until that is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    out: Option<Outbox>,
}

impl Ledger {
    /// Emits a notification as an event, unless it was emitted before. Its number is the one after the last event's.
    ///
    /// # Errors
    /// When the table does not answer; when too many other events are emitted at once.
    pub async fn emit(
        &self,
        account: AccountId,
        notification: &Notification,
        moment: Moment,
    ) -> Result<(), Fault> {
        let source = notification.source();
        let key = Key::Emitted(account, &source);
        let outbox = match self.emission(&key).await? {
            Some(emitted) => emitted.out,
            None => {
                let event = PendingEvent::new(source.clone(), notification, moment.now);
                let out = self.outbox(account, vec![event]).await?;
                let item = EmittedItem { ttl: after_days(moment, EMITTED_DAYS), out: out.clone() };
                match self.table.put_new(with_key(&key, &item)?, "claim the number of an event").await? {
                    None => out,
                    Some(emitted) => decode::<EmittedItem>(EMISSION, emitted)?.out,
                }
            }
        };
        match outbox {
            Some(outbox) => self.empty_outbox(account, &key, outbox, moment).await,
            None => Ok(()),
        }
    }

    /// Whether a notification was emitted.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn was_emitted(&self, account: AccountId, notification: &Notification) -> Result<bool, Fault> {
        let source = notification.source();
        let emitted = self.emission(&Key::Emitted(account, &source)).await?;
        Ok(emitted.is_some_and(|emitted| emitted.out.is_none()))
    }

    async fn emission(&self, key: &Key<'_>) -> Result<Option<EmittedItem>, Fault> {
        let item = self.table.get(key, "look for an emitted event").await?;
        item.map(|item| decode(EMISSION, item)).transpose()
    }

    /// The number of an account's last event; `None` before the first.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn event_head(&self, account: AccountId) -> Result<Option<u64>, Fault> {
        let query = ItemQuery::all(event_partition(account)).falling().limit(1);
        let last = self.table.query(query, "read the last event").await?.items;
        last.first().map(number_of_event).transpose()
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
        let query = ItemQuery::new(event_partition(account), SortKeys::After(format!("{after:016}")));
        // One more than asked for: only that shows whether a full page is the last.
        let page = self.table.query(query.limit(limit.saturating_add(1)), "read events").await?;
        let mut events: Vec<Event> = page.items.into_iter().map(read).collect::<Result<_, _>>()?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = most < events.len() || page.last.is_some();
        events.truncate(most);
        Ok((events, more))
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
    // An event gets its end when it has a successor: it was published before.
    if image.contains_key("ttl") {
        return Ok(None);
    }
    let account = name.parse().map_err(|_| Fault::corrupt("an event", "its key"))?;
    Ok(Some((account, read(image)?)))
}

fn number_of_event(item: &StoredItem) -> Result<u64, Fault> {
    let number = sort_key(item).and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| Fault::corrupt("an event", "its number"))
}

fn read(item: StoredItem) -> Result<Event, Fault> {
    let number = number_of_event(&item)?;
    let EventItem { name, at, data } = decode("an event", item)?;
    let data = serde_json::from_str(&data).map_err(|source| Fault::corrupt("an event", source))?;
    Ok(Event { number, name, at, data })
}
