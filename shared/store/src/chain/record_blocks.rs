//! The index of records: a block for each sixty-four rows, written by the projector once they are chained.

use std::ops::RangeInclusive;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use tracing::warn;

use crate::chain::items::full_span;
use crate::chain::raw_rows::RowPlace;
use crate::table::attribute::{number, number_of, sort_key};
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem, chain_partition};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use domain::{AccountId, EntryId, FullBlock, RecordBlock, RecordCounts, RecordKind, Span};

/// The attribute of what the rows of a block are.
const KINDS: &str = "kinds";

/// The attributes of how many records of each kind lie before a block.
const BEFORE: [&str; 3] = ["purchases", "usage", "postPaid"];

/// The attributes of the last earlier block with records of each kind.
const EARLIER: [&str; 3] = ["lastPurchase", "lastUsage", "lastPostPaid"];

/// How many blocks are made from rows where they are missing: those of an account whose rows are older than the index. Larger
/// accounts are indexed by a command.
pub(crate) const MISSING_MAX: u64 = 16;

/// How many rows of an account with `sequence` chained rows are in no full block.
pub(crate) fn open_rows(sequence: u64) -> usize {
    let filled = RecordBlock::first_of(RecordBlock::full(sequence)).saturating_sub(1);
    usize::try_from(sequence.saturating_sub(filled)).unwrap_or(0)
}

/// Kinds in two bits each.
pub(crate) fn pack_kinds(kinds: &[RecordKind]) -> AttributeValue {
    let byte =
        |four: &[RecordKind]| four.iter().rev().fold(0_u8, |byte, kind| byte.unbounded_shl(2) | kind.code());
    AttributeValue::B(Blob::new(kinds.chunks(4).map(byte).collect::<Vec<_>>()))
}

/// The first `count` kinds; `None` when there are fewer or more.
pub(crate) fn unpack_kinds(packed: &AttributeValue, count: usize) -> Option<Vec<RecordKind>> {
    let bytes = packed.as_b().ok()?.as_ref();
    let kind = |byte: u8, place: u32| {
        RecordKind::ALL.get(usize::from(byte.unbounded_shr(place.saturating_mul(2)) & 3)).copied()
    };
    let kinds = bytes.iter().flat_map(|byte| (0..4).map(move |place| kind(*byte, place)));
    let kinds = kinds.take(count).collect::<Option<Vec<_>>>()?;
    (bytes.len() == count.div_ceil(4) && kinds.len() == count).then_some(kinds)
}

fn block_item(account: AccountId, block: &RecordBlock) -> StoredItem {
    let mut item = Key::RecordBlock(account, block.number).attributes();
    item.insert(KINDS.to_owned(), pack_kinds(&block.kinds));
    let RecordCounts { purchases, usage, post_paid } = block.before;
    let counts = BEFORE.into_iter().zip([purchases, usage, post_paid]);
    let earlier = EARLIER.into_iter().zip(block.earlier).filter_map(|(name, last)| Some((name, last?)));
    item.extend(counts.chain(earlier).map(|(name, value)| (name.to_owned(), number(value))));
    item
}

/// The items of all blocks of an account, each made from its rows.
///
/// # Errors
/// When a block lacks a row.
#[cfg(feature = "bulk")]
pub(crate) fn block_items(account: AccountId, full: &[FullBlock]) -> Result<Vec<StoredItem>, Fault> {
    let mut blocks: Vec<RecordBlock> = Vec::with_capacity(full.len());
    for FullBlock { kinds, .. } in full {
        let kinds = kinds.clone().try_into();
        let kinds =
            kinds.map_err(|_| Fault::corrupt("the index of records", "a row of a block is missing"))?;
        blocks.push(RecordBlock::after(blocks.last(), kinds));
    }
    Ok(blocks.iter().map(|block| block_item(account, block)).collect())
}

fn read_block(item: &StoredItem) -> Result<RecordBlock, Fault> {
    let read = || {
        let [purchases, usage, post_paid] = BEFORE.map(|name| number_of(item, name));
        Some(RecordBlock {
            number: sort_key(item)?.parse().ok()?,
            before: RecordCounts { purchases: purchases?, usage: usage?, post_paid: post_paid? },
            earlier: EARLIER.map(|name| number_of(item, name)),
            kinds: unpack_kinds(item.get(KINDS)?, RecordBlock::ROWS)?.try_into().ok()?,
        })
    };
    read().ok_or_else(|| Fault::corrupt("the index of records", "one of its blocks"))
}

impl Ledger {
    /// Writes blocks that became full, before the watermark counts their rows: after a crash in between, another process
    /// writes the same blocks again. A block whose predecessor is missing is left out: the rows are older than the index,
    /// and are too many to be read here.
    pub(crate) async fn keep_blocks(&self, account: AccountId, full: &[FullBlock]) -> Result<(), Fault> {
        let Some(first) = full.first() else { return Ok(()) };
        let Some(mut previous) = self.previous_block(account, first.number).await? else {
            warn!(%account, "the records of this account are not indexed; run `cargo xtask index-records`");
            return Ok(());
        };
        for FullBlock { number, kinds } in full {
            let kinds = match kinds.clone().try_into() {
                Ok(kinds) => kinds,
                Err(_) => self.kinds_in_block(account, *number).await?,
            };
            let block = RecordBlock::after(previous.as_ref(), kinds);
            self.keep_block(account, &block).await?;
            previous = Some(block);
        }
        Ok(())
    }

    /// The block before a block, with all those before it where these are few; `None` where it is missing, `Some(None)`
    /// before the first block.
    async fn previous_block(
        &self,
        account: AccountId,
        number: u64,
    ) -> Result<Option<Option<RecordBlock>>, Fault> {
        let Some(before) = number.checked_sub(1) else { return Ok(Some(None)) };
        if let Some(block) = self.record_block(account, before).await? {
            return Ok(Some(Some(block)));
        }
        if MISSING_MAX < number {
            return Ok(None);
        }
        let blocks = self.blocks_of_rows(account, number).await?;
        for block in &blocks {
            self.keep_block(account, block).await?;
        }
        Ok(Some(blocks.into_iter().next_back()))
    }

    /// Writes a block. An existing one stays.
    pub(crate) async fn keep_block(&self, account: AccountId, block: &RecordBlock) -> Result<(), Fault> {
        self.keep_one(account, block_item(account, block)).await
    }

    /// A block of the index. It never changes, so only a block that is not found is read with strong consistency.
    pub(crate) async fn record_block(
        &self,
        account: AccountId,
        number: u64,
    ) -> Result<Option<RecordBlock>, Fault> {
        let item = self.unchanging(&Key::RecordBlock(account, number)).await?;
        item.as_ref().map(read_block).transpose()
    }

    /// An item of the ledger table that never changes once it is written.
    pub(crate) async fn unchanging(&self, key: &Key<'_>) -> Result<Option<StoredItem>, Fault> {
        const DOING: &str = "read an index";
        match self.table.read(key, false, DOING).await? {
            Some(item) => Ok(Some(item)),
            None => self.table.read(key, true, DOING).await,
        }
    }

    /// The first blocks of an account, made from its chained rows. They cost a read of all these rows.
    pub(crate) async fn blocks_of_rows(
        &self,
        account: AccountId,
        count: u64,
    ) -> Result<Vec<RecordBlock>, Fault> {
        let mut blocks: Vec<RecordBlock> = Vec::new();
        for number in 0..count {
            let kinds = self.kinds_in_block(account, number).await?;
            blocks.push(RecordBlock::after(blocks.last(), kinds));
        }
        Ok(blocks)
    }

    async fn kinds_in_block(
        &self,
        account: AccountId,
        number: u64,
    ) -> Result<[RecordKind; RecordBlock::ROWS], Fault> {
        let rows = RecordBlock::first_of(number)..=RecordBlock::last_of(number);
        let kinds = self.kinds_of_spans(account, rows).await?;
        kinds.try_into().map_err(|_| Fault::corrupt("the chain", "rows of a block of records are missing"))
    }

    /// What rows of full spans are.
    async fn kinds_of_spans(
        &self,
        account: AccountId,
        rows: RangeInclusive<u64>,
    ) -> Result<Vec<RecordKind>, Fault> {
        let place = |row: u64| format!("{:016}", Span::first_of(row));
        let keys = SortKeys::Between(place(*rows.start()), place(*rows.end()));
        let query = ItemQuery::new(chain_partition(account), keys);
        let items = self.table.query_all(query, "read a chain").await?;
        let links = items.iter().filter_map(full_span).flat_map(|span| span.links);
        self.kinds_of(account, &links.map(|link| link.id).collect::<Vec<_>>()).await
    }

    /// What the rows of these ids are.
    pub(crate) async fn kinds_of(
        &self,
        account: AccountId,
        ids: &[EntryId],
    ) -> Result<Vec<RecordKind>, Fault> {
        let rows = self.rows_among(account, ids).await?;
        let kind = |id: &EntryId| rows.get(&RowPlace::of(*id)).map_or(RecordKind::Nothing, |row| row.kind());
        Ok(ids.iter().map(kind).collect())
    }
}
