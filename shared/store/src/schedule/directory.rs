//! The directory of all accounts, and the progress of monthly renewal sweeps in it.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::table::attribute::sort_key;
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::{Key, StoredItem};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use domain::{AccountId, OrgId, Period};
use ports::random;

/// How many partitions hold the directory. A sweep processes each on its own, so this is also how many renewals of a
/// month can run at the same time.
pub const DIRECTORY_SHARDS: u8 = 64;

/// For how many days after the start of its month the progress of a sweep is kept.
const SWEEP_DAYS: i64 = 400;

/// One account of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The account.
    pub account: AccountId,
    /// Whether it has, or had, monitors.
    pub monitored: bool,
}

/// The progress of a month's renewal sweep in one shard of the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepProgress {
    /// The last account that the sweep has passed; `None` at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AccountId>,
    /// Whether the sweep of this shard is complete.
    #[serde(default)]
    pub done: bool,
    /// How many steps it has made. Of two processes that make the same step, one is saved.
    pub revision: u64,
}

#[derive(Serialize, Deserialize)]
struct SweepItem {
    #[serde(flatten)]
    progress: SweepProgress,
    /// A random text that identifies the process that made the step, so that one of two concurrent processes stops.
    by: String,
    #[serde(with = "chrono::serde::ts_seconds")]
    ttl: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct DirectoryItem {
    #[serde(default, rename = "mon", skip_serializing_if = "std::ops::Not::not")]
    monitored: bool,
}

fn partition(shard: u8) -> String {
    format!("DIR#{shard:02}")
}

impl DirectoryEntry {
    /// The shard of the directory that an account is in, `0..`[`DIRECTORY_SHARDS`].
    #[must_use]
    pub fn shard(account: AccountId) -> u8 {
        let digest = Sha256::digest(account.org.bare());
        digest.first().and_then(|first| first.checked_rem(DIRECTORY_SHARDS)).unwrap_or(0)
    }

    fn key(account: AccountId) -> Key<'static> {
        Key::Listed(partition(Self::shard(account)), account)
    }
}

impl Ledger {
    /// Adds an account to the directory, unless it is in it.
    pub(crate) async fn list_account(&self, account: AccountId) -> Result<(), Fault> {
        let item = with_key(&DirectoryEntry::key(account), &DirectoryItem { monitored: false })?;
        self.table.put_new(item, "list an account").await.map(|_| ())
    }

    /// Marks an account in the directory as having monitors.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn list_monitored(&self, account: AccountId) -> Result<(), Fault> {
        let update = UpdateExpression::new("SET mon = :yes").value(":yes", AttributeValue::Bool(true));
        self.table.update(&DirectoryEntry::key(account), update, "list a monitored account").await.map(|_| ())
    }

    /// Whether an account has, or had, monitors. An account that was opened before there was a directory is added to
    /// it.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn is_monitored(&self, account: AccountId) -> Result<bool, Fault> {
        let key = DirectoryEntry::key(account);
        let Some(item) = self.table.read(&key, false, "read the directory").await? else {
            self.list_account(account).await?;
            return Ok(false);
        };
        Ok(decode::<DirectoryItem>("an account of the directory", item)?.monitored)
    }

    /// At most `limit` accounts of one shard of the directory after `after`; and whether they are its last.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn directory_page(
        &self,
        shard: u8,
        after: Option<AccountId>,
        limit: i32,
    ) -> Result<(Vec<DirectoryEntry>, bool), Fault> {
        let keys = after.map_or(SortKeys::All, |after| SortKeys::After(after.to_string()));
        let query = ItemQuery::new(partition(shard), keys).consistent(false).limit(limit);
        let page = self.table.query(query, "read the directory").await?;
        Ok((page.items.into_iter().filter_map(read_entry).collect(), page.last.is_none()))
    }

    /// At most `limit` organisations, the newest first, older than `before`. Makes one query for each of the 64 shards, side
    /// by side: half a unit each for 20 organisations.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn newest_organisations(&self, before: Option<OrgId>, limit: u16) -> Result<Vec<OrgId>, Fault> {
        // An organisation is in the directory with its live and its test account.
        let items = i32::from(limit).saturating_mul(2);
        let read = async |shard| {
            let keys = before.map_or(SortKeys::All, |before| SortKeys::Below(before.to_string()));
            let query = ItemQuery::new(partition(shard), keys).falling().consistent(false).limit(items);
            self.table.query(query, "list organisations").await
        };
        let pages = try_join_all((0..DIRECTORY_SHARDS).map(read)).await?;
        let entries = pages.into_iter().flat_map(|page| page.items).filter_map(read_entry);
        let newest: BTreeSet<_> = entries.map(|entry| entry.account.org).collect();
        Ok(newest.into_iter().rev().take(limit.into()).collect())
    }

    /// The progress of the sweep of a month in one shard of the directory.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn sweep_progress(&self, month: Period, shard: u8) -> Result<SweepProgress, Fault> {
        Ok(self.sweep_item(month, shard).await?.map(|known| known.progress).unwrap_or_default())
    }

    async fn sweep_item(&self, month: Period, shard: u8) -> Result<Option<SweepItem>, Fault> {
        let item = self.table.get(&Key::Sweep(month, format!("{shard:02}")), "read a sweep").await?;
        item.map(|item| decode("a sweep", item)).transpose()
    }

    /// Saves a step of a sweep with `next.revision` incremented; `false` when another process has saved a step since
    /// `next` was read.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn save_sweep_progress(
        &self,
        month: Period,
        shard: u8,
        next: SweepProgress,
    ) -> Result<bool, Fault> {
        let seen = Some(next.revision).filter(|revision| *revision > 0);
        let progress = SweepProgress { revision: next.revision.saturating_add(1), ..next };
        let days = Duration::try_days(SWEEP_DAYS).unwrap_or_default();
        let ttl = month.start().checked_add_signed(days).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let by = format!("{:032x}", random());
        let step = SweepItem { progress, by: by.clone(), ttl };
        let item = with_key(&Key::Sweep(month, format!("{shard:02}")), &step)?;
        let saved = self.table.replace(item, seen, "save a step of a sweep").await?;
        // The SDK may have sent it twice: then the first call has saved this step.
        Ok(saved || self.sweep_item(month, shard).await?.is_some_and(|known| known.by == by))
    }
}

/// An account of the directory. An unreadable one must not hide the others.
fn read_entry(item: StoredItem) -> Option<DirectoryEntry> {
    let Some(account) = sort_key(&item).and_then(|name| name.parse().ok()) else {
        tracing::error!(place = ?item.get("sk"), "an account of the directory is unreadable");
        return None;
    };
    // If the item does not say whether the account has monitors, the sweep looks for them.
    let monitored =
        decode::<DirectoryItem>("an account of the directory", item).map_or(true, |item| item.monitored);
    Some(DirectoryEntry { account, monitored })
}
