//! Completing an entry: making sure that its rows exist, whatever crashed.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::ops::Bound;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::{FutureExt, try_join_all};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::chain::raw_rows::ChainRows;
use crate::table::attribute::sort_key;
use crate::table::canonical;
use crate::table::error::Fault;
use crate::table::item::receipt;
use crate::table::key::{Key, StoredItem, row_partition};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::row_query::RowPartition;
use domain::{Account, AccountId, Entry, EntryId, Receipt, RecordKind, RowText};

/// Entries that the stream showed and whose rows are known to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedEntries {
    /// The texts of the rows, as the table has them.
    pub rows: ChainRows,
    /// The same rows as transactions, without unreadable ones.
    pub receipts: Vec<Receipt>,
    /// The time of the last row's id.
    pub time: DateTime<Utc>,
}

/// How many extra rows one read requests: rows of entries that the stream has lost may lie among the wanted ones.
const SPARE: usize = 8;

/// How many entries whose rows are missing are completed at the same time.
const ENTRIES_AT_ONCE: usize = 25;

/// The rows of entries, by their ids.
type RowItems = BTreeMap<EntryId, StoredItem>;

impl Ledger {
    /// Makes sure that the rows of the account's last entry exist. `None` for a new account without entries.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn complete(&self, account: &Account) -> Result<Option<CompletedEntries>, Fault> {
        let mut completed = self.complete_all(std::slice::from_ref(account), Duration::ZERO).await?;
        completed.pop().unwrap_or(Ok(None))
    }

    /// Makes sure that the rows of the last entry of each of these states of one account exist: one read for each month
    /// and shard where they do. The request that made an entry writes its rows right after it, so rows that are missing are read
    /// again after `grace` and written only if they are still missing.
    ///
    /// # Errors
    /// When the table does not answer the read. An inner error: the rows of that entry could not be written.
    pub async fn complete_all(
        &self,
        states: &[Account],
        grace: Duration,
    ) -> Result<Vec<Result<Option<CompletedEntries>, Fault>>, Fault> {
        let Some(id) = states.first().map(|account| account.id) else { return Ok(vec![]) };
        let entries = states.iter().filter_map(|account| account.last.as_ref());
        let ids: BTreeSet<EntryId> = entries.flat_map(row_ids).collect();
        let mut items = self.row_items(id, &ids, false).await?;
        let missing = |items: &RowItems| -> BTreeSet<EntryId> {
            ids.iter().copied().filter(|id| !items.contains_key(id)).collect()
        };
        let young = missing(&items);
        if !young.is_empty() {
            tokio::time::sleep(grace).await;
            items.extend(self.row_items(id, &young, true).await?);
        }
        let lost = missing(&items);
        let mut faults = BTreeMap::new();
        if !lost.is_empty() {
            faults = self.write_missing(states, &lost).await;
            items.extend(self.row_items(id, &lost, true).await?);
        }
        Ok(states.iter().map(|account| completed(account, &items, &mut faults)).collect())
    }

    /// One transaction of an account, even if it is the last and its row does not exist yet; `None` when there is no such
    /// transaction.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn find(&self, account: AccountId, id: EntryId) -> Result<Option<Receipt>, Fault> {
        if let Some(receipt) = self.transaction(account, id).await? {
            return Ok(Some(receipt));
        }
        let Some(known) = self.account(account).await? else { return Ok(None) };
        let is_last = known.last.as_ref().is_some_and(|last| (last.id..=last.last_id()).contains(&id));
        if !is_last {
            return Ok(None);
        }
        self.complete(&known).await?;
        self.transaction(account, id).await
    }

    /// Writes the rows of the entries that have one among `lost`; returns why those of an entry could not be written.
    async fn write_missing(&self, states: &[Account], lost: &BTreeSet<EntryId>) -> BTreeMap<u64, Fault> {
        let incomplete = states.iter().filter(|account| {
            account.last.as_ref().is_some_and(|last| row_ids(last).any(|id| lost.contains(&id)))
        });
        let writes: Vec<_> = incomplete.map(|account| self.write_rows(account).boxed()).collect();
        let written: Vec<_> = stream::iter(writes).buffer_unordered(ENTRIES_AT_ONCE).collect().await;
        written.into_iter().filter_map(|(number, written)| Some((number, written.err()?))).collect()
    }

    /// Writes the missing rows of an account's last entry, and returns its number. Another process may write them first.
    async fn write_rows(&self, account: &Account) -> (u64, Result<(), Fault>) {
        (account.sequence, self.try_to_write_rows(account).await)
    }

    async fn try_to_write_rows(&self, account: &Account) -> Result<(), Fault> {
        let Some(entry) = &account.last else { return Ok(()) };
        let details = self.details(account.id, entry).await?;
        for receipt in account.receipts(details) {
            self.record(account.id, &receipt).await?;
        }
        Ok(())
    }

    /// The rows of these ids that exist. Rows of consecutive entries lie close together, so one read mostly finds all;
    /// those behind its end are read one by one.
    async fn row_items(
        &self,
        account: AccountId,
        ids: &BTreeSet<EntryId>,
        consistent: bool,
    ) -> Result<RowItems, Fault> {
        let mut partitions: BTreeMap<RowPartition, BTreeSet<EntryId>> = BTreeMap::new();
        for id in ids {
            partitions.entry(RowPartition::of(*id)).or_default().insert(*id);
        }
        let found = partitions.into_iter().map(|(of, ids)| self.row_items_of(account, of, ids, consistent));
        Ok(try_join_all(found).await?.into_iter().flatten().collect())
    }

    async fn row_items_of(
        &self,
        account: AccountId,
        of: RowPartition,
        ids: BTreeSet<EntryId>,
        consistent: bool,
    ) -> Result<RowItems, Fault> {
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(RowItems::new()) };
        let limit = i32::try_from(ids.len().saturating_add(SPARE)).unwrap_or(i32::MAX);
        let keys = SortKeys::Between(first.bare(), last.bare());
        let partition = row_partition(account, of.month, of.shard);
        let query = ItemQuery::new(partition, keys).consistent(consistent).limit(limit);
        let page = self.table.query(query, "look for rows").await?;
        let end = page.last.as_ref().and_then(sort_key).and_then(EntryId::from_bare);
        let mut found: RowItems = page
            .items
            .into_iter()
            .filter_map(|item| Some((EntryId::from_bare(sort_key(&item)?)?, item)))
            .filter(|(id, _)| ids.contains(id))
            .collect();
        if let Some(end) = end {
            let behind = ids.range((Bound::Excluded(end), Bound::Unbounded));
            let reads: Vec<_> = behind.map(|id| self.row_item(account, *id, consistent).boxed()).collect();
            let read: Vec<_> = stream::iter(reads).buffer_unordered(ENTRIES_AT_ONCE).try_collect().await?;
            found.extend(read.into_iter().flatten());
        }
        Ok(found)
    }

    async fn row_item(
        &self,
        account: AccountId,
        id: EntryId,
        consistent: bool,
    ) -> Result<Option<(EntryId, StoredItem)>, Fault> {
        let item = self.table.read(&Key::Row(account, id), consistent, "look for a row").await?;
        Ok(item.map(|item| (id, item)))
    }
}

/// The ids of an entry's rows.
fn row_ids(entry: &Entry) -> impl Iterator<Item = EntryId> {
    (0..entry.rows()).map(|place| entry.id.after(place))
}

/// The rows of the last entry of an account, as they are stored.
fn completed(
    account: &Account,
    items: &RowItems,
    faults: &mut BTreeMap<u64, Fault>,
) -> Result<Option<CompletedEntries>, Fault> {
    let Some(last) = &account.last else { return Ok(None) };
    if let Some(fault) = faults.remove(&account.sequence) {
        return Err(fault);
    }
    let first = account.sequence.saturating_sub(last.rows()).saturating_add(1);
    let (mut rows, mut receipts) = (ChainRows::new(), vec![]);
    for (number, id) in (first..).zip(row_ids(last)) {
        let item = items.get(&id).cloned();
        let item =
            item.ok_or_else(|| Fault::corrupt("a transaction", "it is gone as soon as it was recorded"))?;
        let (text, receipt) = row(id, item);
        rows.insert(number, text);
        receipts.extend(receipt);
    }
    Ok(Some(CompletedEntries { rows, receipts, time: account.floor().time() }))
}

/// A row's text for the chain, and its transaction. A row that was damaged by hand stays in the chain, which proves the
/// damage.
fn row(id: EntryId, item: StoredItem) -> (RowText, Option<Receipt>) {
    let text = canonical::text(&item);
    let receipt = receipt(item);
    if let Err(fault) = &receipt {
        tracing::error!(%id, fault = fault as &dyn Error, "a transaction is unreadable; no event is emitted for it");
    }
    let kind = receipt.as_ref().map_or(RecordKind::Nothing, RecordKind::of);
    (RowText { id, text, kind }, receipt.ok())
}
