//! Outboxes: the events that follow from a change of an item, stored with that change and then emitted.
//!
//! An event is written under the number after the last one, if no event has that number. It names its source, so a write
//! that is repeated recognises its own. An item claims the number for its events when it is changed; where another event
//! has taken the number, the claim moves up. A number is claimed again only once an event of another source has it, so an
//! event is never written twice, and never where there would be a gap.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use crate::table::attribute::text_of;
use crate::table::backoff::backoff;
use crate::table::condition::{Condition, UpdateExpression};
use crate::table::error::Fault;
use crate::table::expiry::after_days;
use crate::table::item::{encode, with_key};
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use crate::table::requests::ConditionalPut;
use domain::{AccountId, Notification};
use ports::Moment;

/// The attribute of an item that has its outbox.
pub(crate) const OUTBOX: &str = "out";

/// For how many days an event is kept after the next one. The contract promises 30; a caller that reads on the last day still
/// finds it. The last event is kept until there is another one, because it has the last number.
const EVENT_DAYS: i64 = 32;

/// How often the events of one item may lose their numbers to others.
const ATTEMPTS_MAX: u32 = 64;

/// Events that an item has to emit, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outbox {
    /// The number of the first of them; the others follow.
    number: u64,
    events: Vec<PendingEvent>,
}

/// A notification that becomes an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingEvent {
    /// What it follows from: different for every two events of an account.
    src: String,
    name: String,
    /// When the notified change happened.
    #[serde(with = "chrono::serde::ts_seconds")]
    at: DateTime<Utc>,
    /// JSON.
    data: String,
}

impl PendingEvent {
    /// The event of a notification about something that happened at `at`.
    pub(crate) fn new(source: String, notification: &Notification, at: DateTime<Utc>) -> Self {
        Self {
            src: source,
            name: notification.name().as_str().to_owned(),
            at: at.trunc_subsecs(0),
            data: notification.data().to_string(),
        }
    }
}

/// How the events of an outbox were written.
enum Emission {
    /// All of them have their numbers.
    Whole,
    /// The number of this one, by its place, is another event's.
    Taken(usize),
}

impl Ledger {
    /// The outbox with these events, from the next free number on; `None` without events.
    pub(crate) async fn outbox(
        &self,
        account: AccountId,
        events: Vec<PendingEvent>,
    ) -> Result<Option<Outbox>, Fault> {
        if events.is_empty() {
            return Ok(None);
        }
        Ok(Some(Outbox { number: self.next_number(account).await?, events }))
    }

    /// Emits the events of an item's outbox and empties it. Call it after the change that has filled it, and before the
    /// item is changed again.
    ///
    /// # Errors
    /// When the table does not answer; when too many other events are emitted at once. The outbox then stays.
    pub(crate) async fn empty_outbox(
        &self,
        account: AccountId,
        key: &Key<'_>,
        mut outbox: Outbox,
        moment: Moment,
    ) -> Result<(), Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some(first) = outbox.events.first().map(|event| event.src.clone()) else { return Ok(()) };
            // Another outbox of the item may have the same number.
            let same = |update: UpdateExpression, number: u64| {
                update
                    .name("#out", OUTBOX)
                    .name("#number", "number")
                    .name("#events", "events")
                    .name("#src", "src")
                    .value(":known", AttributeValue::N(number.to_string()))
                    .value(":first", AttributeValue::S(first.clone()))
                    .only_if("#out.#number = :known AND #out.#events[0].#src = :first")
            };
            let moved = match self.write_events(account, &outbox, moment).await? {
                Emission::Whole => {
                    // Where it fails, another process has emptied it.
                    let empty = same(UpdateExpression::new("REMOVE #out"), outbox.number);
                    self.table.update(key, empty, "empty an outbox").await?;
                    return Ok(());
                }
                Emission::Taken(place) => {
                    let events = outbox.events.split_off(place);
                    Outbox { number: self.next_number(account).await?, events }
                }
            };
            let update = UpdateExpression::new("SET #out = :out");
            let update = same(update.value(":out", AttributeValue::M(encode(&moved)?)), outbox.number);
            if self.table.update(key, update, "move an outbox").await? {
                outbox = moved;
                continue;
            }
            let Some(known) = self.stored_outbox(key).await? else { return Ok(()) };
            outbox = known;
        }
        Err(Fault::Busy)
    }

    /// The outbox of a stored item; `None` for an item without one.
    pub(crate) async fn stored_outbox(&self, key: &Key<'_>) -> Result<Option<Outbox>, Fault> {
        let item = self.table.get(key, "read an outbox").await?;
        let outbox = item.and_then(|mut item| item.remove(OUTBOX));
        outbox
            .map(|outbox| {
                serde_dynamo::from_attribute_value(outbox)
                    .map_err(|source| Fault::corrupt("an outbox", source))
            })
            .transpose()
    }

    /// Writes the events of an outbox under its numbers, as far as these are free, and lets the table delete the events
    /// before them after their time.
    async fn write_events(
        &self,
        account: AccountId,
        outbox: &Outbox,
        moment: Moment,
    ) -> Result<Emission, Fault> {
        for (place, event) in outbox.events.iter().enumerate() {
            let number = outbox.number.saturating_add(u64::try_from(place).unwrap_or(u64::MAX));
            let item = with_key(&Key::Event(account, number), event)?;
            let put = self.table.put_or_existing(item, Condition::absent(), "emit an event").await?;
            if let ConditionalPut::Existing(existing) = put
                && existing.as_ref().and_then(|existing| text_of(existing, "src")) != Some(&event.src)
            {
                return Ok(Emission::Taken(place));
            }
            if let Some(before) = number.checked_sub(1).filter(|before| 0 < *before) {
                self.let_expire(account, before, moment).await?;
            }
        }
        Ok(Emission::Whole)
    }

    /// Lets the table delete an event that has a successor.
    async fn let_expire(&self, account: AccountId, number: u64, moment: Moment) -> Result<(), Fault> {
        let ttl = AttributeValue::N(after_days(moment, EVENT_DAYS).timestamp().to_string());
        let update = UpdateExpression::new("SET #ttl = if_not_exists(#ttl, :ttl)");
        let update = update.name("#ttl", "ttl").value(":ttl", ttl).only_if("attribute_exists(pk)");
        self.table.update(&Key::Event(account, number), update, "let an event expire").await.map(|_| ())
    }

    async fn next_number(&self, account: AccountId) -> Result<u64, Fault> {
        Ok(self.event_head(account).await?.unwrap_or(0).saturating_add(1))
    }
}
