use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::item::{decode, with_key};
use super::key::{Item, Key};
use super::{Fault, Ledger};
use domain::{AccountId, Mode, Monitor, MonitorId, Subject, Watch, Watched};

/// How many monitors are read at once.
pub const MONITORS_AT_ONCE: i32 = 100;

/// For how many days after its end a monitor is kept: longer than the key it was made under, so that the
/// same request, sent again, finds it.
const ENDED_DAYS: i64 = 62;

/// Monitors of an account, the oldest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// Those of this page, also those that have ended or are being made.
    pub monitors: Vec<Monitor>,
    /// Where the next page begins; none on the last.
    pub next: Option<MonitorId>,
}

/// Whose a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The monitor's that wanted it.
    Ours,
    /// Another one's.
    By(MonitorId),
}

#[derive(Serialize, Deserialize)]
struct MonitorItem {
    #[serde(flatten)]
    monitor: Monitor,
    #[serde(with = "chrono::serde::ts_seconds_option", default, skip_serializing_if = "Option::is_none")]
    ttl: Option<DateTime<Utc>>,
}

#[derive(Serialize, Deserialize)]
struct SubjectItem {
    monitor: MonitorId,
}

impl Ledger {
    /// A monitor, strongly consistent; `None` when there is none of that name.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn monitor(&self, id: Watched) -> Result<Option<Monitor>, Fault> {
        self.get(&Key::Monitor(id), true, "read a monitor").await?.map(read).transpose()
    }

    /// Writes down a monitor that is new. Where one of that name is there already, it stays.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn begin_monitor(&self, account: AccountId, monitor: &Monitor) -> Result<(), Fault> {
        self.put_new(item(account, monitor)?, "begin a monitor").await.map(|_| ())
    }

    /// Writes a monitor with a revision one higher, which comes back; `None` when somebody has written it
    /// since it was read.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn save_monitor(
        &self,
        account: AccountId,
        monitor: &Monitor,
    ) -> Result<Option<Monitor>, Fault> {
        let next = Monitor { revision: monitor.revision.saturating_add(1), ..monitor.clone() };
        let saved = self.replace(item(account, &next)?, Some(monitor.revision), "save a monitor").await?;
        let id = Watched { account, monitor: next.id };
        let saved = saved || self.monitor(id).await?.is_some_and(|known| known == next);
        Ok(saved.then_some(next))
    }

    /// Forgets a monitor that could not be made; false when somebody has written it since it was read.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn forget_monitor(&self, account: AccountId, monitor: &Monitor) -> Result<bool, Fault> {
        let key = Key::Monitor(Watched { account, monitor: monitor.id });
        let seen = AttributeValue::N(monitor.revision.to_string());
        self.delete_if(&key, ("revision", seen), "forget a monitor").await
    }

    /// Takes a subject for a monitor: one at a time has it.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn take_subject(
        &self,
        account: AccountId,
        subject: &Subject,
        monitor: MonitorId,
    ) -> Result<Taken, Fault> {
        let item = with_key(&Key::Subject(account, subject), &SubjectItem { monitor })?;
        let Some(known) = self.put_new(item, "take a subject").await? else { return Ok(Taken::Ours) };
        let known: SubjectItem = decode("a subject", known)?;
        Ok(if known.monitor == monitor { Taken::Ours } else { Taken::By(known.monitor) })
    }

    /// Takes a subject over from a monitor that is no more; false when somebody else has done so.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn take_subject_over(
        &self,
        account: AccountId,
        subject: &Subject,
        (from, to): (MonitorId, MonitorId),
    ) -> Result<bool, Fault> {
        let item = with_key(&Key::Subject(account, subject), &SubjectItem { monitor: to })?;
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk) OR monitor IN (:from, :to)");
        let put = put.expression_attribute_values(":from", AttributeValue::S(from.to_string()));
        match put.expression_attribute_values(":to", AttributeValue::S(to.to_string())).send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
                Some(_) | None => Err(Fault::unavailable("take a subject over")(error.into())),
            },
        }
    }

    /// Lets go of a subject, if the monitor has it.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn free_subject(
        &self,
        account: AccountId,
        subject: &Subject,
        monitor: MonitorId,
    ) -> Result<(), Fault> {
        let holder = AttributeValue::S(monitor.to_string());
        let key = Key::Subject(account, subject);
        self.delete_if(&key, ("monitor", holder), "free a subject").await.map(|_| ())
    }

    async fn delete_if(
        &self,
        key: &Key<'_>,
        (attribute, value): (&'static str, AttributeValue),
        doing: &'static str,
    ) -> Result<bool, Fault> {
        let delete = self.client.delete_item().table_name(&self.table);
        let delete = delete.set_key(Some(key.attributes())).condition_expression("#name = :value");
        let delete = delete.expression_attribute_names("#name", attribute);
        match delete.expression_attribute_values(":value", value).send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(false),
                Some(_) | None => Err(Fault::unavailable(doing)(error.into())),
            },
        }
    }

    /// The id of the monitor that was made last; none before the first.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn last_monitor(&self, account: AccountId) -> Result<Option<MonitorId>, Fault> {
        let query = self.monitors_of(account).key_condition_expression("pk = :pk");
        let answer = query.scan_index_forward(false).limit(1).send().await;
        let answer = answer.map_err(|error| Fault::unavailable("read monitors")(error.into()))?;
        let last = answer.items.unwrap_or_default().into_iter().next().map(read).transpose()?;
        Ok(last.map(|last| last.id))
    }

    fn monitors_of(
        &self,
        account: AccountId,
    ) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        query.expression_attribute_values(":pk", AttributeValue::S(format!("MON#{account}")))
    }

    /// The monitors of an account that were made after `after`, the oldest first; at most `limit`.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn monitors(
        &self,
        account: AccountId,
        after: Option<MonitorId>,
        limit: i32,
    ) -> Result<Page, Fault> {
        let query = self.monitors_of(account).limit(limit);
        let query = match after {
            Some(after) => query
                .key_condition_expression("pk = :pk AND sk > :after")
                .expression_attribute_values(":after", AttributeValue::S(after.bare())),
            None => query.key_condition_expression("pk = :pk"),
        };
        let answer = query.send().await;
        let answer = answer.map_err(|error| Fault::unavailable("read monitors")(error.into()))?;
        let more = answer.last_evaluated_key.is_some();
        let items = answer.items.unwrap_or_default().into_iter();
        let monitors: Vec<Monitor> = items.map(read).collect::<Result<_, _>>()?;
        let next = monitors.last().map(|last| last.id).filter(|_| more);
        Ok(Page { monitors, next })
    }
}

/// A monitor as the table has it.
pub(super) fn item(account: AccountId, monitor: &Monitor) -> Result<Item, Fault> {
    let ttl = match monitor.stage {
        // The table deletes by real time, which a test ledger's clock may be behind.
        Watch::Ended { at } if account.mode == Mode::Live => {
            at.checked_add_signed(Duration::try_days(ENDED_DAYS).unwrap_or_default())
        }
        Watch::Pending | Watch::Active | Watch::Suspended { .. } | Watch::Ended { .. } => None,
    };
    let item = MonitorItem { monitor: monitor.clone(), ttl };
    with_key(&Key::Monitor(Watched { account, monitor: monitor.id }), &item)
}

fn read(item: Item) -> Result<Monitor, Fault> {
    decode::<MonitorItem>("a monitor", item).map(|item| item.monitor)
}
