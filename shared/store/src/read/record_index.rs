//! The index of an account's records: which transaction is the n-th of a list.

use std::collections::BTreeMap;

use crate::chain::record_blocks::{MISSING_MAX, open_rows};
use crate::chain::watermark::Watermark;
use crate::table::error::Fault;
use crate::table::ledger::Ledger;
use domain::{AccountId, Receipt, RecordBlock, RecordFilter, RecordKind};

/// The rows of an account that are records of one list: in full blocks, in the block that is not full yet, and after the end
/// of the chain.
pub(super) struct RecordIndex<'a> {
    ledger: &'a Ledger,
    account: AccountId,
    filter: RecordFilter,
    /// The number of the last chained row.
    chained: u64,
    /// How many blocks are full, and how many records of the list they have.
    full: u64,
    in_blocks: u64,
    /// The numbers of the records after the full blocks, the newest first.
    recent: Vec<u64>,
    /// The blocks that were read.
    blocks: BTreeMap<u64, RecordBlock>,
}

impl<'a> RecordIndex<'a> {
    /// The index of the rows through the end of the chain; `None` where it is missing and the rows are too many to be read
    /// instead.
    pub(super) async fn open(
        ledger: &'a Ledger,
        account: AccountId,
        watermark: &Watermark,
        filter: RecordFilter,
    ) -> Result<Option<Self>, Fault> {
        let chained = watermark.chained();
        let full = RecordBlock::full(chained);
        let mut blocks = BTreeMap::new();
        let mut in_blocks = 0;
        if let Some(last) = full.checked_sub(1) {
            match ledger.record_block(account, last).await? {
                Some(block) => {
                    blocks.insert(last, block);
                }
                None if MISSING_MAX < full => return Ok(None),
                None => {
                    let made = ledger.blocks_of_rows(account, full).await?;
                    blocks.extend(made.into_iter().map(|block| (block.number, block)));
                }
            }
            in_blocks = blocks.get(&last).map_or(0, |block| block.through().of(filter));
        }
        let first = RecordBlock::first_of(full);
        let kinds = ledger.open_kinds(account, watermark, first).await?;
        let numbered = (first..).zip(kinds).filter(|(_, kind)| filter.has(*kind));
        let mut recent: Vec<_> = numbered.map(|(number, _)| number).collect();
        recent.reverse();
        Ok(Some(Self { ledger, account, filter, chained, full, in_blocks, recent, blocks }))
    }

    /// Adds rows after the end of the chain, the newest first.
    pub(super) fn add_unchained(&mut self, rows: &[Receipt]) {
        let is_new = |row: &&Receipt| self.chained < row.sequence && self.filter.has(RecordKind::of(row));
        let new = rows.iter().filter(is_new).map(|row| row.sequence).collect::<Vec<_>>();
        self.recent.splice(0..0, new);
    }

    /// How many records the list has.
    pub(super) fn total(&self) -> u64 {
        self.in_blocks.saturating_add(u64::try_from(self.recent.len()).unwrap_or(u64::MAX))
    }

    /// How many records of the list are newer than the row `sequence`: at most one block is read.
    pub(super) async fn newer_than(&mut self, sequence: u64) -> Result<u64, Fault> {
        let recent = self.recent.iter().filter(|number| sequence < **number).count();
        let recent = u64::try_from(recent).unwrap_or(u64::MAX);
        if self.full <= RecordBlock::of_row(sequence) && sequence > 0 {
            return Ok(recent);
        }
        let older = match sequence {
            0 => 0,
            _ => self.block(RecordBlock::of_row(sequence)).await?.count_through(sequence, self.filter),
        };
        Ok(self.in_blocks.saturating_sub(older).saturating_add(recent))
    }

    /// The numbers of at most `limit` records after the newest `skipped` ones.
    pub(super) async fn numbers(&mut self, skipped: u64, limit: usize) -> Result<Vec<u64>, Fault> {
        let place = usize::try_from(skipped).unwrap_or(usize::MAX);
        let mut numbers: Vec<u64> = self.recent.iter().skip(place).take(limit).copied().collect();
        let recent = u64::try_from(self.recent.len()).unwrap_or(u64::MAX);
        let in_blocks = skipped.saturating_sub(recent);
        // Records of the blocks are counted from the oldest one.
        let Some(newest) = self.in_blocks.checked_sub(in_blocks).and_then(|count| count.checked_sub(1))
        else {
            return Ok(numbers);
        };
        if numbers.len() >= limit {
            return Ok(numbers);
        }
        let mut block = self.block_with(newest).await?;
        let newer = block.through().of(self.filter).saturating_sub(1).saturating_sub(newest);
        let mut skip = usize::try_from(newer).unwrap_or(usize::MAX);
        loop {
            let wanted = limit.saturating_sub(numbers.len());
            numbers.extend(block.numbers(self.filter).into_iter().skip(skip).take(wanted));
            let Some(earlier) = block.earlier(self.filter).filter(|_| numbers.len() < limit) else {
                return Ok(numbers);
            };
            skip = 0;
            block = self.block(earlier).await?;
        }
    }

    /// The block with the record that has `place` older ones. Records are mostly spread evenly, so every other guess is in
    /// proportion; the others halve the range.
    async fn block_with(&mut self, place: u64) -> Result<RecordBlock, Fault> {
        let (mut low, mut high) = (0, self.full.saturating_sub(1));
        let (mut below, mut through) = (0, self.in_blocks);
        let mut in_proportion = true;
        loop {
            let guess = match in_proportion {
                true => proportional(low, high, place.saturating_sub(below), through.saturating_sub(below)),
                false => low.midpoint(high),
            };
            in_proportion = !in_proportion;
            let block = self.block(guess).await?;
            let (before, after) = (block.before.of(self.filter), block.through().of(self.filter));
            if place < before && low < guess {
                (high, through) = (guess.saturating_sub(1), before);
            } else if after <= place && guess < high {
                (low, below) = (guess.saturating_add(1), after);
            } else {
                return Ok(block);
            }
        }
    }

    async fn block(&mut self, number: u64) -> Result<RecordBlock, Fault> {
        if let Some(block) = self.blocks.get(&number) {
            return Ok(block.clone());
        }
        let block = self.ledger.record_block(self.account, number).await?;
        let block = block.ok_or_else(|| Fault::corrupt("the index of records", "a block is missing"))?;
        self.blocks.insert(number, block.clone());
        Ok(block)
    }
}

/// A number from `low` to `high`, as far between them as `part` is between 0 and `whole`.
fn proportional(low: u64, high: u64, part: u64, whole: u64) -> u64 {
    let (width, part) = (u128::from(high.saturating_sub(low)), u128::from(part));
    let far = width.saturating_add(1).saturating_mul(part).checked_div(u128::from(whole.max(1))).unwrap_or(0);
    low.saturating_add(u64::try_from(far.min(width)).unwrap_or(u64::MAX))
}

impl Ledger {
    /// What the chained rows from `first` on are, which are in no full block: as the watermark says, or as their rows say where
    /// it does not.
    async fn open_kinds(
        &self,
        account: AccountId,
        watermark: &Watermark,
        first: u64,
    ) -> Result<Vec<RecordKind>, Fault> {
        let Some(tip) = &watermark.tip else { return Ok(vec![]) };
        if tip.kinds.len() == open_rows(tip.sequence()) {
            return Ok(tip.kinds.clone());
        }
        let numbers: Vec<_> = (first..=tip.sequence()).collect();
        let ids = self.ids_numbered(account, watermark, &numbers).await?;
        self.kinds_of(account, &ids.into_values().collect::<Vec<_>>()).await
    }
}
