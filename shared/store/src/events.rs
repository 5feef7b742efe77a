use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use chrono::{DateTime, Duration, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use super::item::{decode, with_key};
use super::key::{Item, Key};
use super::{Fault, Image, Ledger, Moment, monitors};
use domain::{AccountId, Event, Monitor, News, Watched};

/// For how many days events are kept (contract: the feed has 30). Some more, so that whoever reads on
/// the last day finds them.
const EVENT_DAYS: i64 = 32;

/// For how many days it is remembered what was told: longer than a lot's end is told of before it comes
/// ([`Alerts::DAYS_MAX`](domain::Alerts::DAYS_MAX)), so that it is not told again.
const TOLD_DAYS: i64 = 100;

/// How often the number of an event may be lost to another one.
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
struct HeadItem {
    number: u64,
}

#[derive(Serialize, Deserialize)]
struct ToldItem {
    #[serde(with = "chrono::serde::ts_seconds")]
    ttl: DateTime<Utc>,
}

/// Something that is to be told.
#[derive(Clone, Copy)]
pub(super) struct Telling<'a> {
    pub(super) news: &'a News,
    /// When it has happened.
    pub(super) at: DateTime<Utc>,
}

impl Ledger {
    /// Tells an organisation something, unless it has been told: the event gets the next number, and what
    /// it goes by is remembered, in one transaction. Numbers have no gap.
    ///
    /// # Errors
    /// When the table does not serve, or too many others tell something at once.
    pub async fn tell(&self, account: AccountId, news: &News, moment: Moment) -> Result<(), Fault> {
        self.tell_with(account, (news, moment), None).await.map(|_| ())
    }

    /// Whether an organisation has been told something.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn was_told(&self, account: AccountId, news: &News) -> Result<bool, Fault> {
        let told = self.get(&Key::Told(account, &news.source()), true, "look for what was told").await?;
        Ok(told.is_some())
    }

    /// Writes a monitor, with a revision one higher, and tells its owner so: both or neither. The monitor as
    /// it then is; `None` when somebody has written it since it was read.
    ///
    /// # Errors
    /// As [`Ledger::tell`].
    pub async fn save_monitor_and_tell(
        &self,
        account: AccountId,
        monitor: &Monitor,
        (news, moment): (fn(Monitor) -> News, Moment),
    ) -> Result<Option<Monitor>, Fault> {
        let next = Monitor { revision: monitor.revision.saturating_add(1), ..monitor.clone() };
        let news = news(next.clone());
        let saved = self.tell_with(account, (&news, moment), Some((&next, monitor.revision))).await?;
        Ok(saved.then_some(next))
    }

    /// False when the monitor that was to be written with it is another one by now.
    async fn tell_with(
        &self,
        account: AccountId,
        (news, moment): (&News, Moment),
        with: Option<(&Monitor, u64)>,
    ) -> Result<bool, Fault> {
        let source = news.source();
        let told_until = after_days(moment, TOLD_DAYS);
        for _ in 0..ATTEMPTS_MAX {
            if self.get(&Key::Told(account, &source), true, "look for what was told").await?.is_some() {
                return Ok(true);
            }
            let told = with_key(&Key::Told(account, &source), &ToldItem { ttl: told_until })?;
            let mut puts = vec![self.put(told, None)?];
            if let Some((monitor, revision)) = with {
                puts.push(self.put(monitors::item(account, monitor)?, Some(("revision", revision)))?);
            }
            let telling = Telling { news, at: moment.now };
            if self.write_events(account, &[telling], puts, moment).await? {
                return Ok(true);
            }
            if let Some((monitor, revision)) = with {
                let known = self.monitor(Watched { account, monitor: monitor.id }).await?;
                if known.is_none_or(|known| known.revision != revision && known != *monitor) {
                    return Ok(false);
                }
            }
        }
        Err(Fault::Busy)
    }

    /// Writes events with the next numbers, and what goes with them: all or nothing. False when something
    /// stood in the way: then what was read before is to be read again.
    pub(super) async fn write_events(
        &self,
        account: AccountId,
        news: &[Telling<'_>],
        mut puts: Vec<Put>,
        moment: Moment,
    ) -> Result<bool, Fault> {
        if !news.is_empty() {
            let seen = self.event_head(account).await?;
            let mut number = seen.unwrap_or(0);
            for telling in news {
                number = number.saturating_add(1);
                let event = with_key(&Key::Event(account, number), &telling.item(moment))?;
                puts.push(self.put(event, None)?);
            }
            let head = with_key(&Key::EventHead(account), &HeadItem { number })?;
            puts.push(self.put(head, seen.map(|seen| ("number", seen)))?);
        }
        self.write_together(puts).await
    }

    /// How many events an account has been told: the number of the last; none before the first.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn event_head(&self, account: AccountId) -> Result<Option<u64>, Fault> {
        let head = self.get(&Key::EventHead(account), true, "read the number of events").await?;
        let head: Option<HeadItem> = head.map(|head| decode("the number of events", head)).transpose()?;
        Ok(head.map(|head| head.number))
    }

    /// The events of an account that follow number `after`, the oldest first; at most `limit`. Whether there
    /// are more.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn events(
        &self,
        account: AccountId,
        after: u64,
        limit: i32,
    ) -> Result<(Vec<Event>, bool), Fault> {
        let text = |text: String| AttributeValue::S(text);
        let query = self.client.query().table_name(&self.table).consistent_read(true).limit(limit);
        let answer = query
            .key_condition_expression("pk = :pk AND sk > :after")
            .expression_attribute_values(":pk", text(format!("EVENTS#{account}")))
            .expression_attribute_values(":after", text(format!("{after:016}")))
            .send()
            .await
            .map_err(|error| Fault::unavailable("read events")(error.into()))?;
        let more = answer.last_evaluated_key.is_some();
        let items = answer.items.unwrap_or_default().into_iter();
        Ok((items.map(read).collect::<Result<_, _>>()?, more))
    }

    /// A write of an item that is new, or whose attribute has just that value.
    pub(super) fn put(&self, item: Item, seen: Option<(&str, u64)>) -> Result<Put, Fault> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = match seen {
            Some((attribute, value)) => put
                .condition_expression("#attribute = :seen")
                .expression_attribute_names("#attribute", attribute)
                .expression_attribute_values(":seen", AttributeValue::N(value.to_string())),
            None => put.condition_expression("attribute_not_exists(pk)"),
        };
        put.build().map_err(|error| Fault::unavailable("tell an event")(error.into()))
    }

    /// All or none of them; false when something stood in the way.
    async fn write_together(&self, puts: Vec<Put>) -> Result<bool, Fault> {
        let mut together = self.client.transact_write_items();
        for put in puts {
            together = together.transact_items(TransactWriteItem::builder().put(put).build());
        }
        let Err(error) = together.send().await else { return Ok(true) };
        match error.as_service_error() {
            Some(TransactionCanceledException(_)) => Ok(false),
            Some(_) | None => Err(Fault::unavailable("tell an event")(error.into())),
        }
    }
}

impl Telling<'_> {
    /// The event as it is kept.
    fn item(&self, moment: Moment) -> EventItem {
        EventItem {
            name: self.news.name().as_str().to_owned(),
            at: self.at.trunc_subsecs(0),
            data: self.news.data().to_string(),
            ttl: after_days(moment, EVENT_DAYS),
        }
    }
}

/// So many days from now. The table deletes by real time; a clock that was moved may be behind it.
pub(super) fn after_days(moment: Moment, days: i64) -> DateTime<Utc> {
    let now = moment.now.max(moment.wall);
    now.checked_add_signed(Duration::try_days(days).unwrap_or_default()).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Reads an event from an image of the stream, and whose it is; `None` for an item of another kind.
///
/// # Errors
/// [`Fault::Corrupt`] when it says it is an event and does not read as one.
pub fn event_image(image: Image) -> Result<Option<(AccountId, Event)>, Fault> {
    let image = Item::from(image);
    let Some(AttributeValue::S(pk)) = image.get("pk") else { return Ok(None) };
    let Some(name) = pk.strip_prefix("EVENTS#") else { return Ok(None) };
    let account = name.parse().map_err(|_| Fault::corrupt("an event", "its key"))?;
    Ok(Some((account, read(image)?)))
}

fn read(item: Item) -> Result<Event, Fault> {
    let number = match item.get("sk") {
        Some(AttributeValue::S(digits)) => digits.parse().ok(),
        Some(_) | None => None,
    };
    let number = number.ok_or_else(|| Fault::corrupt("an event", "its number"))?;
    let EventItem { name, at, data, .. } = decode("an event", item)?;
    let data = serde_json::from_str(&data).map_err(|source| Fault::corrupt("an event", source))?;
    Ok(Event { number, name, at, data })
}
