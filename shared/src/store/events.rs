use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use chrono::{DateTime, Duration, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use super::item::{decode, with_key};
use super::key::{Item, Key};
use super::{Fault, Ledger, Moment, monitors};
use crate::domain::{AccountId, Event, Monitor, News, Watched};

/// For how many days events are kept (contract: the feed has 30). Some more, so that whoever reads on
/// the last day finds them.
const EVENT_DAYS: i64 = 32;

/// For how many days it is remembered what was told: longer than a lot's end is told of before it comes
/// ([`Alerts::DAYS_MAX`](crate::domain::Alerts::DAYS_MAX)), so that it is not told again.
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
    number: u64,
    #[serde(with = "chrono::serde::ts_seconds")]
    ttl: DateTime<Utc>,
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
        let (event, told_until) = event_item(news, moment);
        for _ in 0..ATTEMPTS_MAX {
            if self.get(&Key::Told(account, &source), true, "look for what was told").await?.is_some() {
                return Ok(true);
            }
            let head = self.get(&Key::EventHead(account), true, "read the number of events").await?;
            let head: Option<HeadItem> = head.map(|head| decode("the number of events", head)).transpose()?;
            let seen = head.map(|head| head.number);
            let number = seen.unwrap_or(0).saturating_add(1);
            let told = with_key(&Key::Told(account, &source), &ToldItem { number, ttl: told_until })?;
            let head = with_key(&Key::EventHead(account), &HeadItem { number })?;
            let mut puts = vec![
                self.put(told, None)?,
                self.put(head, seen.map(|seen| ("number", seen)))?,
                self.put(with_key(&Key::Event(account, number), &event)?, None)?,
            ];
            if let Some((monitor, revision)) = with {
                puts.push(self.put(monitors::item(account, monitor)?, Some(("revision", revision)))?);
            }
            if self.write_together(puts).await? {
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
    fn put(&self, item: Item, seen: Option<(&str, u64)>) -> Result<Put, Fault> {
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

/// An event as it is kept, and until when it is remembered that it was told. The table deletes by real time;
/// a clock that was moved may be behind it.
fn event_item(news: &News, moment: Moment) -> (EventItem, DateTime<Utc>) {
    let now = moment.now.max(moment.wall);
    let after = |days: i64| {
        now.checked_add_signed(Duration::try_days(days).unwrap_or_default())
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    };
    let item = EventItem {
        name: news.name().to_owned(),
        at: moment.now.trunc_subsecs(0),
        data: news.data().to_string(),
        ttl: after(EVENT_DAYS),
    };
    (item, after(TOLD_DAYS))
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
