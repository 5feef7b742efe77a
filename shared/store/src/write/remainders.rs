//! Remainders of transactions, and the list of open holds.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::FutureExt;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::{Key, remainder_partition};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::remainder_item;
use domain::{AccountId, Credits, EntryId, Period, Receipt, Remainder};

/// How many ended holds one read finds at most.
const HOLDS_AT_ONCE: i32 = 100;

/// How many other transactions may lie between some that are read together.
const CLOSE_ROWS: usize = 64;

/// How many remainders that lie apart are read at the same time.
const READS_AT_ONCE: usize = 16;

/// A hold that is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenHold {
    pub(crate) id: EntryId,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub(crate) ends: DateTime<Utc>,
    /// How many credits it has set aside, before any capture.
    #[serde(rename = "n", default)]
    pub(crate) amount: Credits,
}

/// Why a remainder is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemainderSave {
    /// A part is taken: finished parts move to pages first.
    PartTaken,
    /// A part is posted or put back.
    PartSettled,
}

impl OpenHold {
    fn key(&self, account: AccountId) -> Key<'static> {
        // Milliseconds since 1970 sort as they count up to the year 9999.
        Key::OpenHold(account, format!("{:015}#{}", self.ends.timestamp_millis(), self.id.bare()))
    }
}

impl Ledger {
    /// The remainder of a transaction as it is stored; `None` while nothing was drawn from it.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn remainder(&self, account: AccountId, of: EntryId) -> Result<Option<Remainder>, Fault> {
        Ok(self.remainders_between(account, of, of).await?.into_iter().next())
    }

    /// The remainder of a transaction; the whole transaction while nothing was drawn from it.
    pub(crate) async fn remainder_of(&self, account: AccountId, from: &Receipt) -> Result<Remainder, Fault> {
        Ok(self.remainder(account, from.entry.id).await?.unwrap_or_else(|| Remainder::of(from)))
    }

    /// The stored remainders of some transactions, by id. One read for each month that the transactions are of.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn remainders(
        &self,
        account: AccountId,
        of: &[EntryId],
    ) -> Result<BTreeMap<EntryId, Remainder>, Fault> {
        let mut months: BTreeMap<Period, (EntryId, EntryId)> = BTreeMap::new();
        for id in of {
            let (first, last) = months.entry(Period::of(id.time())).or_insert((*id, *id));
            (*first, *last) = ((*first).min(*id), (*last).max(*id));
        }
        let mut remainders = BTreeMap::new();
        for (first, last) in months.into_values() {
            let found = self.remainders_between(account, first, last).await?;
            remainders.extend(found.into_iter().map(|remainder| (remainder.of, remainder)));
        }
        Ok(remainders)
    }

    /// The remainders of some transactions, by their numbers and ids: by one read for each month if they lie close together,
    /// otherwise by one for each of them.
    ///
    /// # Errors
    /// When the table does not answer; when a remainder is unreadable.
    pub async fn remainders_of_rows(
        &self,
        account: AccountId,
        rows: &[(u64, EntryId)],
    ) -> Result<BTreeMap<EntryId, Remainder>, Fault> {
        let numbers = || rows.iter().map(|(number, _)| *number);
        let between = numbers().max().unwrap_or(0).saturating_sub(numbers().min().unwrap_or(0));
        let ids: Vec<_> = rows.iter().map(|(_, id)| *id).collect();
        if usize::try_from(between).unwrap_or(usize::MAX) <= rows.len().saturating_add(CLOSE_ROWS) {
            return self.remainders(account, &ids).await;
        }
        let reads: Vec<_> = ids.iter().map(|id| self.remainders_between(account, *id, *id).boxed()).collect();
        let found: Vec<_> = stream::iter(reads).buffer_unordered(READS_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().map(|remainder| (remainder.of, remainder)).collect())
    }

    /// The remainders of the transactions from `first` to `last`, both of one month.
    async fn remainders_between(
        &self,
        account: AccountId,
        first: EntryId,
        last: EntryId,
    ) -> Result<Vec<Remainder>, Fault> {
        let partition = remainder_partition(account, Period::of(first.time()));
        // The pages of a remainder sort after its main item.
        let keys = SortKeys::Between(first.bare(), format!("{}~", last.bare()));
        let items = self.table.query_all(ItemQuery::new(partition, keys), "read remainders").await?;
        let remainders = remainder_item::grouped(items).into_iter();
        remainders.map(|(item, pages)| remainder_item::read(item, pages)).collect()
    }

    /// Saves a remainder with its revision incremented; `None` when another one was saved first. This write alone
    /// decides what is drawn from one transaction.
    pub(crate) async fn save_remainder(
        &self,
        account: AccountId,
        remainder: Remainder,
        save: RemainderSave,
    ) -> Result<Option<Remainder>, Fault> {
        let (known, revision) = (remainder.revision, remainder.revision.saturating_add(1));
        let mut remainder = Remainder { revision, ..remainder };
        if save == RemainderSave::PartTaken {
            for page in remainder_item::pages_of(account, &mut remainder)? {
                self.table.put_new(page, "save a page of a remainder").await?;
            }
        }
        let item = remainder_item::item_of(account, &remainder)?;
        let condition = Condition::at("revision", Some(known).filter(|known| *known > 0));
        if self.table.put_if(item, condition, "save a remainder").await? {
            return Ok(Some(remainder));
        }
        // The SDK may have sent it twice: then the first call saved it, and it is found unchanged.
        Ok(self.remainder(account, remainder.of).await?.filter(|saved| *saved == remainder))
    }

    /// Adds an entry that is a hold to the open holds. This is written before the entry's row, so that a process that
    /// finds the row finds the hold too.
    pub(crate) async fn remember_hold(&self, account: AccountId, receipt: &Receipt) -> Result<(), Fault> {
        let Some(ends) = receipt.details.expires_at.filter(|_| receipt.is_hold()) else { return Ok(()) };
        let open = OpenHold { id: receipt.entry.id, ends, amount: receipt.entry.amount };
        // A closed hold may be added again this way: at its end it is found closed, and removed.
        let item = with_key(&open.key(account), &open)?;
        self.table.put_new(item, "add an open hold").await.map(|_| ())
    }

    /// Removes a closed hold from the open holds.
    pub(crate) async fn forget_hold(
        &self,
        account: AccountId,
        id: EntryId,
        ends: DateTime<Utc>,
    ) -> Result<(), Fault> {
        let open = OpenHold { id, ends, amount: Credits::ZERO };
        self.table.delete(&open.key(account), "remove an open hold").await
    }

    /// The open holds of an account that have ended by `now`, the earliest first; at most [`HOLDS_AT_ONCE`].
    pub(crate) async fn ended_holds(
        &self,
        account: AccountId,
        now: DateTime<Utc>,
    ) -> Result<Vec<OpenHold>, Fault> {
        let end = now.checked_add_signed(TimeDelta::milliseconds(1)).unwrap_or(now);
        let keys = SortKeys::Below(format!("{:015}", end.timestamp_millis()));
        let query = ItemQuery::new(format!("HOLDS#{account}"), keys).limit(HOLDS_AT_ONCE);
        let items = self.table.query(query, "look for holds that have ended").await?.items;
        items.into_iter().map(|item| decode("an open hold", item)).collect()
    }
}
