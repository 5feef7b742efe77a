use std::error::Error;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::item::{decode, with_key};
use super::key::{Item, Key};
use super::{Fault, Ledger};
use domain::{AccountId, EntryId, Mode, MonitorId, OrgId, PurchaseId, Watched};

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
    /// What the calendar brings an account: its month turns, its lots end.
    Calendar(AccountId),
    /// A change of plan that what goes by the plan may not have followed yet.
    Plan(AccountId),
    /// A monitor that may not be made whole.
    Monitor(Watched),
    /// What was drawn from a transaction and may not be carried out; a hold that ends.
    Pot(PotId),
    /// Webhooks of an account that wait to be delivered to again. They go by real time, whatever clock their
    /// account has: somebody else's server is not to wait for it.
    Webhooks(AccountId),
}

/// What was drawn from a transaction, by the transaction's full name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PotId {
    /// Whose.
    pub account: AccountId,
    /// Of which.
    pub of: EntryId,
}

impl Errand {
    /// Whose it is.
    #[must_use]
    pub fn account(&self) -> AccountId {
        match self {
            Self::Purchase(id) => id.account,
            Self::Recharge(account)
            | Self::Calendar(account)
            | Self::Plan(account)
            | Self::Webhooks(account) => *account,
            Self::Monitor(watched) => watched.account,
            Self::Pot(pot) => pot.account,
        }
    }
}

impl Errand {
    /// Whether it goes by its account's own clock, where that has one.
    #[must_use]
    pub fn goes_by_account(&self) -> bool {
        !matches!(self, Self::Webhooks(_))
    }
}

/// An errand in the agenda.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// What is to be looked after.
    pub errand: Errand,
    /// When. Milliseconds count.
    pub due: DateTime<Utc>,
    /// Whether it is in an agenda of its account's own, which goes by the account's own clock.
    pub is_own: bool,
}

#[derive(Serialize, Deserialize)]
struct ErrandItem {
    org: OrgId,
    mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purchase: Option<EntryId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    monitor: Option<MonitorId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pot: Option<EntryId>,
    /// What is looked after, where it is the account itself: auto-recharge, when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<Of>,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    due: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Of {
    Calendar,
    Plan,
    Webhooks,
}

impl Ledger {
    /// Notes an errand. It stays until it is [crossed out](Ledger::cross_out), whatever crashes; noted
    /// twice for one time it stands there once. One of an account with a clock of its own goes into an
    /// agenda of its own.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn note(&self, errand: Errand, due: DateTime<Utc>) -> Result<Noted, Fault> {
        // No later than asked, for keys have milliseconds.
        let due = DateTime::from_timestamp_millis(due.timestamp_millis()).unwrap_or(due);
        let is_own = errand.goes_by_account() && self.test_clock(errand.account()).await?.is_some();
        let noted = Noted { errand, due, is_own };
        let AccountId { org, mode } = errand.account();
        let bare = ErrandItem { org, mode, purchase: None, monitor: None, pot: None, of: None, due };
        let item = match errand {
            Errand::Purchase(id) => ErrandItem { purchase: Some(id.transaction), ..bare },
            Errand::Monitor(watched) => ErrandItem { monitor: Some(watched.monitor), ..bare },
            Errand::Pot(pot) => ErrandItem { pot: Some(pot.of), ..bare },
            Errand::Recharge(_) => bare,
            Errand::Calendar(_) => ErrandItem { of: Some(Of::Calendar), ..bare },
            Errand::Plan(_) => ErrandItem { of: Some(Of::Plan), ..bare },
            Errand::Webhooks(_) => ErrandItem { of: Some(Of::Webhooks), ..bare },
        };
        let item = with_key(&noted.key(), &item)?;
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
            due.extend(self.errands_of((partition(shard), false), now, AT_ONCE).await?);
        }
        due.sort_by_key(|noted| (noted.due, noted.errand));
        Ok(due)
    }

    /// Moves the errands of an account that has been given a clock of its own into an agenda of its own. The
    /// one part of the agenda that they can be in is read, once in an account's life: what breaks off is done
    /// again.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn own_agenda(&self, account: AccountId) -> Result<(), Fault> {
        if self.has_own_agenda(account).await? {
            return Ok(());
        }
        let AccountId { org, mode } = account;
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let mut pages = query
            .key_condition_expression("pk = :pk")
            .filter_expression("org = :org AND #mode = :mode")
            .expression_attribute_names("#mode", "mode")
            .expression_attribute_values(":pk", AttributeValue::S(partition(shard_of(account))))
            .expression_attribute_values(":org", AttributeValue::S(org.to_string()))
            .expression_attribute_values(":mode", AttributeValue::S(mode.as_str().to_owned()))
            .into_paginator()
            .items()
            .send();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| Fault::unavailable("read the agenda")(error.into()))?;
            let noted = read(item, false)?;
            if !noted.errand.goes_by_account() {
                continue;
            }
            self.note(noted.errand, noted.due).await?;
            self.cross_out(&noted).await?;
        }
        self.note_own_agenda(account).await
    }

    /// When the next errand is due; none when there is none.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn next_errand(&self) -> Result<Option<DateTime<Utc>>, Fault> {
        let mut next: Option<DateTime<Utc>> = None;
        for shard in 0..SHARDS {
            let first = self.errands_of((partition(shard), false), DateTime::<Utc>::MAX_UTC, 1).await?;
            next = first.first().map(|noted| noted.due).into_iter().chain(next).min();
        }
        Ok(next)
    }

    /// The errands of an account's own agenda that are due by `by`, the earliest first; at most a hundred.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn own_errands(&self, account: AccountId, by: DateTime<Utc>) -> Result<Vec<Noted>, Fault> {
        self.errands_of((own_partition(account), true), by, AT_ONCE).await
    }

    async fn errands_of(
        &self,
        (partition, is_own): (String, bool),
        by: DateTime<Utc>,
        limit: i32,
    ) -> Result<Vec<Noted>, Fault> {
        // What is due in the next millisecond sorts after everything of this one.
        let end = by.checked_add_signed(TimeDelta::milliseconds(1)).unwrap_or(by);
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let answer = query
            .key_condition_expression("pk = :pk AND sk < :end")
            .expression_attribute_values(":pk", AttributeValue::S(partition))
            .expression_attribute_values(":end", AttributeValue::S(place(end)))
            .limit(limit)
            .send()
            .await
            .map_err(|error| Fault::unavailable("read the agenda")(error.into()))?;
        let items = answer.items.unwrap_or_default().into_iter();
        // One that does not read must not hide those that do.
        let read = items.map(|item| read(item, is_own)).filter_map(|read| match read {
            Ok(noted) => Some(noted),
            Err(fault) => {
                tracing::error!(fault = &fault as &dyn Error, "an errand does not read");
                None
            }
        });
        Ok(read.collect())
    }
}

fn read(item: Item, is_own: bool) -> Result<Noted, Fault> {
    let ErrandItem { org, mode, purchase, monitor, pot, of, due } = decode("an errand", item)?;
    let account = AccountId { org, mode };
    let errand = match (purchase, monitor, pot, of) {
        (Some(transaction), ..) => Errand::Purchase(PurchaseId { account, transaction }),
        (None, Some(monitor), ..) => Errand::Monitor(Watched { account, monitor }),
        (None, None, Some(of), _) => Errand::Pot(PotId { account, of }),
        (None, None, None, None) => Errand::Recharge(account),
        (None, None, None, Some(Of::Calendar)) => Errand::Calendar(account),
        (None, None, None, Some(Of::Plan)) => Errand::Plan(account),
        (None, None, None, Some(Of::Webhooks)) => Errand::Webhooks(account),
    };
    Ok(Noted { errand, due, is_own })
}

impl Noted {
    fn key(&self) -> Key<'static> {
        let account = self.errand.account();
        let what = match self.errand {
            Errand::Purchase(id) => id.transaction.to_string(),
            Errand::Monitor(watched) => watched.monitor.to_string(),
            Errand::Pot(pot) => format!("pot of {}", pot.of),
            Errand::Recharge(_) => "recharge".to_owned(),
            Errand::Calendar(_) => "calendar".to_owned(),
            Errand::Plan(_) => "plan".to_owned(),
            Errand::Webhooks(_) => "webhooks".to_owned(),
        };
        let partition = if self.is_own { own_partition(account) } else { partition(shard_of(account)) };
        Key::Errand(partition, format!("{}#{account}#{what}", place(self.due)))
    }
}

fn shard_of(account: AccountId) -> u8 {
    let random = account.org.bare().bytes().fold(0u8, u8::wrapping_add);
    random.checked_rem(SHARDS).unwrap_or(0)
}

fn partition(shard: u8) -> String {
    format!("AGENDA#{shard}")
}

/// Where the errands of an account with a clock of its own are.
fn own_partition(account: AccountId) -> String {
    format!("AGENDA#{account}")
}

/// Where a time is in the agenda: milliseconds since 1970, which sort as they count up to the year 9999.
fn place(at: DateTime<Utc>) -> String {
    format!("{:015}", at.timestamp_millis())
}
