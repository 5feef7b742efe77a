use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use chrono::{DateTime, Duration, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use super::item::{decode, with_key};
use super::key::{Item, Key};
use super::{Fault, Ledger};
use crate::domain::{AccountId, Event, News};

/// For how many days events are kept (contract: the feed has 30). Some more, so that whoever reads on
/// the last day finds them; and what was told is remembered as long.
const EVENT_DAYS: i64 = 32;

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
    pub async fn tell(&self, account: AccountId, news: &News, now: DateTime<Utc>) -> Result<(), Fault> {
        let source = news.source();
        let days = Duration::try_days(EVENT_DAYS).unwrap_or_default();
        let ttl = now.checked_add_signed(days).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let event = EventItem {
            name: news.name().to_owned(),
            at: now.trunc_subsecs(0),
            data: news.data().to_string(),
            ttl,
        };
        for _ in 0..ATTEMPTS_MAX {
            if self.get(&Key::Told(account, &source), true, "look for what was told").await?.is_some() {
                return Ok(());
            }
            let head = self.get(&Key::EventHead(account), true, "read the number of events").await?;
            let head: Option<HeadItem> = head.map(|head| decode("the number of events", head)).transpose()?;
            let seen = head.map(|head| head.number);
            let number = seen.unwrap_or(0).saturating_add(1);
            let told = with_key(&Key::Told(account, &source), &ToldItem { number, ttl })?;
            let head = with_key(&Key::EventHead(account), &HeadItem { number })?;
            let items = [
                self.put(told)?,
                self.put_next(head, seen)?,
                self.put(with_key(&Key::Event(account, number), &event)?)?,
            ];
            if self.write_together(items).await? {
                return Ok(());
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

    fn put(&self, item: Item) -> Result<Put, Fault> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk)").build();
        put.map_err(|error| Fault::unavailable("tell an event")(error.into()))
    }

    fn put_next(&self, item: Item, seen: Option<u64>) -> Result<Put, Fault> {
        let Some(seen) = seen else { return self.put(item) };
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = put.condition_expression("#number = :seen").expression_attribute_names("#number", "number");
        let put = put.expression_attribute_values(":seen", AttributeValue::N(seen.to_string())).build();
        put.map_err(|error| Fault::unavailable("tell an event")(error.into()))
    }

    /// All or none of them; false when something stood in the way.
    async fn write_together(&self, puts: [Put; 3]) -> Result<bool, Fault> {
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
