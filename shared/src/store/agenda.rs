use std::error::Error;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::item::{decode, with_key};
use super::key::{Item, Key};
use super::{Fault, Ledger};
use crate::domain::{AccountId, EntryId, Mode, OrgId, PurchaseId};

/// Over how many partitions the agenda is spread: 1,000 writes a second each. Whoever works it off looks
/// into all of them.
const SHARDS: u8 = 8;

/// How many errands one look into a partition brings.
const AT_ONCE: i32 = 100;

/// What somebody has to look after, should nobody else have done so by a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Errand {
    /// A purchase that may not be finished.
    Purchase(PurchaseId),
    /// Auto-recharge of an account: a charge that may not be finished, or a pause that ends.
    Recharge(AccountId),
}

/// An errand in the agenda.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// What is to be looked after.
    pub errand: Errand,
    /// When. Milliseconds count.
    pub due: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct ErrandItem {
    org: OrgId,
    mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purchase: Option<EntryId>,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    due: DateTime<Utc>,
}

impl Ledger {
    /// Notes an errand. It stays until it is [crossed out](Ledger::cross_out), whatever crashes; noted
    /// twice for one time it stands there once.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn note(&self, errand: Errand, due: DateTime<Utc>) -> Result<Noted, Fault> {
        // No later than asked, for keys have milliseconds.
        let due = DateTime::from_timestamp_millis(due.timestamp_millis()).unwrap_or(due);
        let noted = Noted { errand, due };
        let (AccountId { org, mode }, purchase) = match errand {
            Errand::Purchase(id) => (id.account, Some(id.transaction)),
            Errand::Recharge(account) => (account, None),
        };
        let item = with_key(&noted.key(), &ErrandItem { org, mode, purchase, due })?;
        self.put_new(item, "note an errand").await?;
        Ok(noted)
    }

    /// Crosses an errand out.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn cross_out(&self, noted: &Noted) -> Result<(), Fault> {
        let delete = self.client.delete_item().table_name(&self.table);
        let deleted = delete.set_key(Some(noted.key().attributes())).send().await;
        deleted.map(|_| ()).map_err(|error| Fault::unavailable("cross out an errand")(error.into()))
    }

    /// Errands that are due by `now`, of each partition the earliest first; at most some hundreds.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn errands(&self, now: DateTime<Utc>) -> Result<Vec<Noted>, Fault> {
        let mut due = Vec::new();
        for shard in 0..SHARDS {
            due.extend(self.errands_of(shard, now, AT_ONCE).await?);
        }
        due.sort_by_key(|noted| (noted.due, noted.errand));
        Ok(due)
    }

    /// When the next errand is due; none when there is none.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn next_errand(&self) -> Result<Option<DateTime<Utc>>, Fault> {
        let mut next: Option<DateTime<Utc>> = None;
        for shard in 0..SHARDS {
            let first = self.errands_of(shard, DateTime::<Utc>::MAX_UTC, 1).await?;
            next = first.first().map(|noted| noted.due).into_iter().chain(next).min();
        }
        Ok(next)
    }

    async fn errands_of(&self, shard: u8, by: DateTime<Utc>, limit: i32) -> Result<Vec<Noted>, Fault> {
        // What is due in the next millisecond sorts after everything of this one.
        let end = by.checked_add_signed(TimeDelta::milliseconds(1)).unwrap_or(by);
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let answer = query
            .key_condition_expression("pk = :pk AND sk < :end")
            .expression_attribute_values(":pk", AttributeValue::S(partition(shard)))
            .expression_attribute_values(":end", AttributeValue::S(place(end)))
            .limit(limit)
            .send()
            .await
            .map_err(|error| Fault::unavailable("read the agenda")(error.into()))?;
        let items = answer.items.unwrap_or_default().into_iter();
        // One that does not read must not hide those that do.
        let read = items.map(read).filter_map(|read| match read {
            Ok(noted) => Some(noted),
            Err(fault) => {
                tracing::error!(fault = &fault as &dyn Error, "an errand does not read");
                None
            }
        });
        Ok(read.collect())
    }
}

fn read(item: Item) -> Result<Noted, Fault> {
    let ErrandItem { org, mode, purchase, due } = decode("an errand", item)?;
    let account = AccountId { org, mode };
    let errand = match purchase {
        Some(transaction) => Errand::Purchase(PurchaseId { account, transaction }),
        None => Errand::Recharge(account),
    };
    Ok(Noted { errand, due })
}

impl Noted {
    fn key(&self) -> Key<'static> {
        let (account, what) = match self.errand {
            Errand::Purchase(id) => (id.account, id.transaction.to_string()),
            Errand::Recharge(account) => (account, "recharge".to_owned()),
        };
        let random = account.org.bare().bytes().fold(0u8, u8::wrapping_add);
        let shard = random.checked_rem(SHARDS).unwrap_or(0);
        Key::Errand(partition(shard), format!("{}#{account}#{what}", place(self.due)))
    }
}

fn partition(shard: u8) -> String {
    format!("AGENDA#{shard}")
}

/// Where a time is in the agenda: milliseconds since 1970, which sort as they count up to the year 9999.
fn place(at: DateTime<Utc>) -> String {
    format!("{:015}", at.timestamp_millis())
}
