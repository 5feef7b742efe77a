//! Transactions whose stream records were lost, found by their rows: upwards from the last one that was followed.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Duration, Utc};

use crate::chain::items::full_span;
use crate::chain::raw_rows::{ChainRows, RawRow, RawRows};
use crate::chain::watermark::Watermark;
use crate::table::error::Fault;
use crate::table::item::receipt;
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use crate::table::row_query::AccountRows;
use domain::{AccountId, EntryId, Period, Receipt, Span};

/// How many transactions one slice has at most: a megabyte or so, and more than a batch has.
pub const SLICE_ROWS: usize = 1_000;

/// How many rows may lie before the one with the next number. Rows are stored by id and followed by number; the two
/// differ only by concurrent requests.
const AHEAD: usize = 256;

/// How many seconds before the last followed rows the search for the next row begins; the shorter time is tried first.
/// Only the first search may miss rows of the last second, so it reads with eventual consistency, at half the cost.
const SECONDS_BACK: [i64; 3] = [0, 60, 600];

/// How many rows before the next one the search remembers: those of two spans.
const NEAR_ROWS: usize = 32;

/// How many reads one slice makes at most.
const READS_MAX: u32 = 64;

/// Transactions of an account by rising numbers, from one number on.
pub struct MissedEntries<'a> {
    ledger: &'a Ledger,
    of: AccountRows,
    /// The number of the next transaction.
    next: u64,
    /// The ids of the last rows before it; empty at the account's beginning.
    near: VecDeque<EntryId>,
    /// How many of [`SECONDS_BACK`] were tried for the next transaction.
    tried: usize,
    rows: Option<RawRows<'a>>,
    /// Rows with higher numbers than the next one.
    waiting: BTreeMap<u64, RawRow>,
    /// The last month that has rows.
    last: Period,
}

/// Consecutive transactions.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// The texts of their rows.
    pub rows: ChainRows,
    /// The transactions.
    pub receipts: Vec<Receipt>,
}

impl Ledger {
    /// The transactions without emitted events, after `watermark`. The stream lost their records, but the request that
    /// made an entry usually wrote its row too. `now` is no earlier than the last of them.
    ///
    /// A slice of a thousand rows costs one or two reads, however many transactions were followed before.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn missed_entries(
        &self,
        account: AccountId,
        watermark: &Watermark,
        now: DateTime<Utc>,
    ) -> Result<MissedEntries<'_>, Fault> {
        let last = watermark.notified_through().min(watermark.chained());
        let near = self.ids_near(account, watermark, last).await?;
        self.entries_near(account, near, watermark.notified_through().saturating_add(1), now).await
    }

    /// The transactions from number `next` on, which is at most one above the last chained row of `watermark`.
    ///
    /// # Errors
    /// When the table does not answer.
    pub(crate) async fn entries_from(
        &self,
        account: AccountId,
        watermark: &Watermark,
        next: u64,
        now: DateTime<Utc>,
    ) -> Result<MissedEntries<'_>, Fault> {
        let near = self.ids_near(account, watermark, next.saturating_sub(1)).await?;
        self.entries_near(account, near, next, now).await
    }

    async fn entries_near(
        &self,
        account: AccountId,
        near: VecDeque<EntryId>,
        next: u64,
        now: DateTime<Utc>,
    ) -> Result<MissedEntries<'_>, Fault> {
        let of = self.rows_of_account(account).await?;
        let last = Period::of(now);
        let waiting = BTreeMap::new();
        Ok(MissedEntries { ledger: self, of, next, near, tried: 0, rows: None, waiting, last })
    }

    /// The ids of the chained rows through `number`: those of its span, and of the span before it.
    async fn ids_near(
        &self,
        account: AccountId,
        watermark: &Watermark,
        number: u64,
    ) -> Result<VecDeque<EntryId>, Fault> {
        let mut near = VecDeque::new();
        let mut wanted = number;
        for _ in 0..2 {
            let Some(tip) = watermark.tip.as_ref().filter(|_| wanted > 0) else { break };
            let first = Span::first_of(wanted);
            let span = if tip.open.first == first {
                Some(tip.open.clone())
            } else {
                let item = self.table.get(&Key::Span(account, first), "read a span of a chain").await?;
                item.as_ref().and_then(full_span)
            };
            let links = span.iter().flat_map(Span::numbered).filter(|(place, _)| *place <= number);
            near.extend(links.map(|(_, link)| link.id));
            wanted = first.saturating_sub(1);
        }
        Ok(near)
    }
}

impl MissedEntries<'_> {
    /// The number of the next transaction.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The next transactions below the number `below`, at most [`SLICE_ROWS`]; of a batch none or all. Empty at the end.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when the next row is missing, so that the transaction is lost, or is unreadable; when the table
    /// does not answer.
    pub async fn slice(&mut self, below: u64) -> Result<Slice, Fault> {
        let end = below.min(self.next.saturating_add(u64::try_from(SLICE_ROWS).unwrap_or(u64::MAX)));
        let mut found = Vec::new();
        for _ in 0..READS_MAX {
            while self.next < end
                && let Some(row) = self.waiting.remove(&self.next)
            {
                found.push((self.next, row));
                self.next = self.next.saturating_add(1);
                self.tried = 0;
            }
            if end <= self.next || !self.read().await? {
                break;
            }
        }
        let slice = self.whole_batches(found, below)?;
        if slice.receipts.is_empty() && self.next < below {
            let lost = format!("{} has not the whole transaction with row {}", self.of.account, self.next);
            return Err(Fault::corrupt("the stream", lost));
        }
        Ok(slice)
    }

    /// Reads more rows; `false` when the next row is not among them and no longer search would find it.
    async fn read(&mut self) -> Result<bool, Fault> {
        let page = match &mut self.rows {
            Some(rows) if self.waiting.len() < AHEAD => rows.read().await?,
            Some(_) | None => None,
        };
        let Some(page) = page else { return Ok(self.begin_earlier()) };
        let numbered = page.into_iter().filter_map(|row| Some((row.number()?, row)));
        let next = self.next;
        self.waiting.extend(numbered.filter(|(number, _)| next <= *number));
        Ok(true)
    }

    /// Begins the search at an earlier row; `false` when it began at the earliest one.
    fn begin_earlier(&mut self) -> bool {
        let Some(seconds) = SECONDS_BACK.get(self.tried) else { return false };
        let rows = match self.near.iter().min() {
            Some(near) => {
                let back = Duration::try_seconds(*seconds).unwrap_or_default();
                match near.time().checked_sub_signed(back) {
                    Some(from) if *seconds > 0 => RawRows::since(self.ledger, self.of, from, self.last),
                    Some(_) | None => RawRows::from(self.ledger, self.of, *near, self.last),
                }
            }
            None => {
                let opened = Period::of(self.of.account.org.time());
                RawRows::of(self.ledger, self.of, opened, self.last)
            }
        };
        self.rows = Some(rows.read_by(SLICE_ROWS, self.tried > 0));
        self.waiting.clear();
        self.tried = self.tried.saturating_add(1);
        true
    }

    /// The transactions of rows; the rows of a batch that is not whole are kept for the next slice.
    fn whole_batches(&mut self, mut found: Vec<(u64, RawRow)>, below: u64) -> Result<Slice, Fault> {
        let decoded = found.iter().map(|(_, row)| receipt(row.item.clone()));
        let mut receipts = decoded.collect::<Result<Vec<_>, Fault>>()?;
        let last = receipts.last().and_then(|last| last.details.batch);
        if let Some(last) = last.filter(|_| self.next < below) {
            let is_of_it =
                |receipt: &&Receipt| receipt.details.batch.is_some_and(|of| of.batch == last.batch);
            let count = receipts.iter().rev().take_while(is_of_it).count();
            if count < usize::try_from(last.rows).unwrap_or(usize::MAX) {
                let whole = receipts.len().saturating_sub(count);
                receipts.truncate(whole);
                self.next = self.next.saturating_sub(u64::try_from(count).unwrap_or(0));
                self.waiting.extend(found.split_off(whole));
            }
        }
        let ids = found.iter().filter_map(|(_, row)| row.id());
        self.near.extend(ids);
        self.near.drain(..self.near.len().saturating_sub(NEAR_ROWS));
        let rows = found.into_iter().filter_map(|(number, row)| Some((number, row.for_chain(row.id()?))));
        Ok(Slice { rows: rows.collect(), receipts })
    }
}
