//! Indexing the records of an account whose rows are older than the index, and its purchases that are not in the ledger.

use chrono::{DateTime, Utc};

use crate::chain::raw_rows::RowSince;
use crate::chain::watermark::Watermark;
use crate::table::attribute::sort_key;
use crate::table::error::Fault;
use crate::table::key::record_partition;
use crate::table::ledger::Ledger;
use crate::table::query::ItemQuery;
use domain::{AccountId, PurchaseStatus, RecordBlock, RecordKind};

/// How many purchases are read at once.
const PURCHASES_AT_ONCE: u16 = 100;

/// What was indexed of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexedRecords {
    /// How many blocks of sixty-four rows were written.
    pub blocks: u64,
    /// How many blocks the index has.
    pub full: u64,
    /// How many purchases that are not in the ledger were added.
    pub purchases: u64,
}

/// Blocks that an account lacks: those after the last one that it has.
struct MissingBlocks {
    account: AccountId,
    last: Option<RecordBlock>,
    now: DateTime<Utc>,
}

impl Ledger {
    /// Writes the blocks that an account's index of records lacks, and the items of its purchases that are not in the ledger;
    /// what exists stays. Reads each row once, in slices of a thousand; after each slice `progress` is called with the number
    /// of rows so far. It may be ended at any time and repeated, and the account may be in use.
    ///
    /// # Errors
    /// When the table does not answer; when a row is missing or unreadable.
    pub async fn index_records(
        &self,
        id: AccountId,
        now: DateTime<Utc>,
        mut progress: impl FnMut(u64),
    ) -> Result<IndexedRecords, Fault> {
        let mut indexed =
            IndexedRecords { purchases: self.index_purchases(id, now).await?, ..Default::default() };
        loop {
            let watermark = self.read_watermark(id, true).await?;
            indexed.full = RecordBlock::full(watermark.chained());
            let last = self.last_block(id).await?;
            if indexed.full <= last.as_ref().map_or(0, |last| last.number.saturating_add(1)) {
                return Ok(indexed);
            }
            let missing = MissingBlocks { account: id, last, now };
            let written = self.index_from(missing, &watermark, &mut progress).await?;
            indexed.blocks = indexed.blocks.saturating_add(written);
        }
    }

    /// The last block of an account's index. All blocks before it exist.
    async fn last_block(&self, id: AccountId) -> Result<Option<RecordBlock>, Fault> {
        let query = ItemQuery::all(record_partition(id)).falling().limit(1);
        let page = self.table.query(query, "read an index").await?;
        let number = page.items.first().and_then(sort_key).and_then(|number| number.parse().ok());
        match number {
            Some(number) => self.record_block(id, number).await,
            None => Ok(None),
        }
    }

    /// Writes missing blocks, as far as their rows are chained.
    async fn index_from(
        &self,
        missing: MissingBlocks,
        watermark: &Watermark,
        progress: &mut impl FnMut(u64),
    ) -> Result<u64, Fault> {
        let MissingBlocks { account: id, last, now } = missing;
        let next = last.as_ref().map_or(0, |last| last.number.saturating_add(1));
        let below = RecordBlock::first_of(RecordBlock::full(watermark.chained()));
        let mut entries = self.entries_from(id, watermark, RecordBlock::first_of(next), now).await?;
        let (mut previous, mut kinds, mut written) = (last, Vec::new(), 0_u64);
        while entries.next() < below {
            let slice = entries.slice(below).await?;
            kinds.extend(slice.receipts.iter().map(RecordKind::of));
            while let Some((block, rest)) = kinds.split_first_chunk::<{ RecordBlock::ROWS }>() {
                let block = RecordBlock::after(previous.as_ref(), *block);
                self.keep_block(id, &block).await?;
                kinds = rest.to_vec();
                written = written.saturating_add(1);
                previous = Some(block);
            }
            progress(entries.next().saturating_sub(1));
        }
        Ok(written)
    }

    /// Adds the items of purchases that are not in the ledger and have none.
    async fn index_purchases(&self, id: AccountId, now: DateTime<Utc>) -> Result<u64, Fault> {
        let (mut before, mut added) = (None, 0_u64);
        loop {
            let (purchases, more) = self.purchases(id, before, PURCHASES_AT_ONCE).await?;
            for purchase in &purchases {
                before = Some(purchase.id.transaction);
                if matches!(purchase.status, PurchaseStatus::Approved(_)) {
                    continue;
                }
                let after = self.rows_before(id, purchase.made_at, now).await?;
                let is_new = self.add_unbooked(purchase.id, after, &purchase.status).await?;
                added = added.saturating_add(u64::from(is_new));
            }
            if !more || purchases.is_empty() {
                return Ok(added);
            }
        }
    }

    /// How many rows an account had at a time.
    async fn rows_before(&self, id: AccountId, at: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64, Fault> {
        let mut from = at;
        loop {
            match self.number_since(id, from, now).await? {
                RowSince::Number(number) => return Ok(number.saturating_sub(1)),
                RowSince::NoRow => return Ok(self.account(id).await?.map_or(0, |account| account.sequence)),
                RowSince::NotBefore(later) => from = later,
            }
        }
    }
}
