//! Statements: pages of an account's transactions by falling numbers.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::table::error::Fault;
use crate::table::item::receipt;
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use crate::table::query::SortKeys;
use crate::table::row_query::{AccountRows, RowQuery};
use domain::{Account, AccountId, EntryId, Period, Receipt, RowShards, StatementQuery};

/// How many rows one page examines at most; a filter that few rows pass gives a short page with a cursor.
const EXAMINED_MAX: usize = 1_000;

/// How many rows are read ahead for a number whose row may not be written yet. Rows are stored by id and returned by
/// number; the two differ only by concurrent requests. A row that is known to exist is read until it is found.
const AHEAD: usize = 256;

/// How many rows are read ahead where a page begins at a time and not at a number.
const AHEAD_OF_A_TIME: usize = 1_000;

/// How many more rows than the page has the first read requests, so that one read is usually enough.
const SPARE_ROWS: usize = 8;

/// How many rows one read asks for at most. After a read that leaves rows of its month, the next one asks for twice as
/// many.
const ROWS_AT_ONCE_MAX: i32 = 512;

/// How many reads one page makes at most, counting a month without rows as one. After them the page ends, and its cursor
/// continues there.
const READS_MAX: u32 = 24;

/// By how many minutes a row's place may differ from its time: because of hosts' clocks, and of requests that a fence or a
/// month's renewal overtook.
const SKEW_MINUTES: i64 = 10;

/// One page of a statement, newest first.
#[derive(Clone, Debug)]
pub struct StatementPage {
    /// The transactions, by falling sequence.
    pub receipts: Vec<Receipt>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<StatementCursor>,
}

/// Where a page of a statement begins, and how many transactions it has at most.
#[derive(Clone, Copy, Debug)]
pub struct StatementPlace {
    /// Where it begins; the newest transaction when `None`.
    pub cursor: Option<StatementCursor>,
    /// How many transactions it has at most.
    pub limit: usize,
}

/// A place in one account's statement. Callers get it signed. Whatever it says, a page reads no month outside the
/// account's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementCursor {
    /// Everything from this number on was returned; [`u64::MAX`] when nothing was found yet.
    below: u64,
    /// Everything above this id was returned.
    upper: EntryId,
    /// The shards of all rows below.
    shards: RowShards,
}

impl StatementCursor {
    /// Where the statement of an account begins as it is now: transactions that are made later are not in it, so every
    /// statement that begins here is the same.
    #[must_use]
    pub fn beginning(account: &Account, query: &StatementQuery, now: DateTime<Utc>) -> Self {
        let skew = Duration::try_minutes(SKEW_MINUTES).unwrap_or_default();
        let id_at = |at: DateTime<Utc>| EntryId::last_at(at.checked_add_signed(skew).unwrap_or(at));
        match query.to.filter(|to| *to <= now) {
            // The number of its first transaction is not known.
            Some(to) => Self { below: u64::MAX, upper: id_at(to), shards: account.row_shards },
            None => Self {
                below: account.sequence.saturating_add(1),
                upper: id_at(now).max(account.floor()),
                shards: account.row_shards,
            },
        }
    }

    /// The cursor as text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}.{}.{}", self.below, self.upper.bare(), self.shards.count())
    }

    /// Reads what [`StatementCursor::text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let below = parts.next()?.parse().ok()?;
        let upper = EntryId::from_bare(parts.next()?)?;
        let shards = RowShards::try_from(parts.next()?.parse::<u8>().ok()?).ok()?;
        parts.next().is_none().then_some(Self { below, upper, shards })
    }
}

impl Ledger {
    /// One page of an account's statement: the newest transactions that `query` admits, by falling sequence. Across pages
    /// no transaction is repeated or left out.
    ///
    /// It makes at most 31 requests, and where the rows are spread over shards, at most 24 for each shard and 7 more; however
    /// long the ledger and however many of its months have no row: a page that needs more ends early, and its cursor
    /// continues there.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn statement(
        &self,
        account: AccountId,
        query: &StatementQuery,
        place: StatementPlace,
        now: DateTime<Utc>,
    ) -> Result<StatementPage, Fault> {
        let StatementPlace { cursor, limit } = place;
        let (of, newest) = match cursor {
            Some(cursor) => (AccountRows { account, shards: cursor.shards }, None),
            None if query.to.is_none() => match self.account(account).await? {
                Some(known) => (AccountRows::of(&known), Some(known)),
                None => (AccountRows { account, shards: RowShards::MAX }, None),
            },
            None => (self.rows_of_account(account).await?, None),
        };
        let mut rows = StatementRows::new(self, of, query, cursor, now);
        rows.at_once = i32::try_from(limit.saturating_add(SPARE_ROWS)).unwrap_or(i32::MAX);
        if let Some(newest) = &newest {
            rows.begin_at(newest.floor());
        }
        let mut waiting: BTreeMap<u64, Receipt> = BTreeMap::new();
        // Numbers have no gap: the row with the number below is returned without reading further.
        let newest = newest.map(|account| account.sequence.saturating_add(1));
        let mut below = cursor.map(|cursor| cursor.below).filter(|below| *below < u64::MAX).or(newest);
        let mut known_through = None;
        let mut receipts = Vec::new();
        let mut examined = 0usize;
        loop {
            let next = waiting.keys().next_back().copied();
            let is_next = next.is_some() && next.and_then(|next| next.checked_add(1)) == below;
            let far = waiting.len() >= if below.is_some() { AHEAD } else { AHEAD_OF_A_TIME };
            let is_missing = far && !is_next && !rows.ended && {
                if known_through.is_none() {
                    known_through = Some(self.watermark(account).await?);
                }
                // Above the watermark its row may not be written yet.
                below.is_none_or(|below| known_through < Some(below.saturating_sub(1)))
            };
            if !(is_next || rows.ended || is_missing) {
                if rows.reads < READS_MAX {
                    let returned = below.unwrap_or(u64::MAX);
                    let read = rows.read().await?.into_iter().filter(|receipt| receipt.sequence < returned);
                    waiting.extend(read.map(|receipt| (receipt.sequence, receipt)));
                    continue;
                }
                if waiting.is_empty() || examined > 0 {
                    return Ok(StatementPage { receipts, next: Some(rows.place(below, &waiting)) });
                }
                // Nothing was returned yet, so a page that starts here again would make no progress.
                if let Some(found) = self.chained_below(account, below).await? {
                    waiting.insert(found.sequence, found);
                }
            }
            let Some((sequence, receipt)) = waiting.pop_last() else { break };
            if examined >= EXAMINED_MAX || receipts.len() >= limit && query.admits(&receipt) {
                waiting.insert(sequence, receipt);
                return Ok(StatementPage { receipts, next: Some(rows.place(below, &waiting)) });
            }
            examined = examined.saturating_add(1);
            below = Some(sequence);
            if query.admits(&receipt) {
                receipts.push(receipt);
            }
        }
        Ok(StatementPage { receipts, next: None })
    }

    /// The row with the number below `below`, by the id that the chain has for it.
    async fn chained_below(&self, account: AccountId, below: Option<u64>) -> Result<Option<Receipt>, Fault> {
        let Some(number) = below.and_then(|below| below.checked_sub(1)).filter(|number| *number > 0) else {
            return Ok(None);
        };
        let Some((_, link)) = self.link(account, number).await? else { return Ok(None) };
        let row = self.table.get(&Key::Row(account, link.id), "look for a row").await?;
        let row = row.map(receipt).transpose()?;
        Ok(row.filter(|row| row.sequence == number))
    }
}

/// The rows of an account, newest id first, month by month.
struct StatementRows<'a> {
    ledger: &'a Ledger,
    of: AccountRows,
    month: Period,
    /// The highest id that was not read yet.
    upper: EntryId,
    lower: EntryId,
    ended: bool,
    /// How many rows the next read asks for.
    at_once: i32,
    /// How many reads were made.
    reads: u32,
}

impl<'a> StatementRows<'a> {
    fn new(
        ledger: &'a Ledger,
        of: AccountRows,
        query: &StatementQuery,
        cursor: Option<StatementCursor>,
        now: DateTime<Utc>,
    ) -> Self {
        let skew = Duration::try_minutes(SKEW_MINUTES).unwrap_or_default();
        // An organisation's id has the time when it was opened: no row is older than that month.
        let opened = Period::of(of.account.org.time()).start();
        let from = query.from.and_then(|from| from.checked_sub_signed(skew)).unwrap_or(opened).max(opened);
        let to = query.to.unwrap_or(now).min(now).checked_add_signed(skew).unwrap_or(now);
        // No row is newer than this month, except by differences of hosts' clocks: one more month is enough.
        let newest = EntryId::first_at(Period::of(to.max(now)).next().next().start()).before();
        let upper = cursor.map_or(EntryId::last_at(to), |cursor| cursor.upper.min(newest));
        let lower = EntryId::first_at(from);
        Self {
            ledger,
            of,
            month: Period::of(upper.time()),
            upper,
            lower,
            ended: upper < lower,
            at_once: 1,
            reads: 0,
        }
    }

    /// Begins at `id` or above: the host that made the id may have had a clock that was ahead.
    fn begin_at(&mut self, id: EntryId) {
        if self.upper < id {
            self.upper = id;
            self.month = Period::of(id.time());
            self.ended = self.upper < self.lower;
        }
    }

    /// The cursor of the next page: below the number `below`, with the rows that are waiting.
    fn place(&self, below: Option<u64>, waiting: &BTreeMap<u64, Receipt>) -> StatementCursor {
        let upper = waiting.values().map(|receipt| receipt.entry.id).max();
        StatementCursor {
            below: below.unwrap_or(u64::MAX),
            upper: upper.unwrap_or(self.upper).max(self.upper),
            shards: self.of.shards,
        }
    }

    /// The next rows; empty only for a month without rows.
    async fn read(&mut self) -> Result<Vec<Receipt>, Fault> {
        self.reads = self.reads.saturating_add(1);
        let keys = SortKeys::Between(self.lower.bare(), self.upper.bare());
        let query = RowQuery::new(self.of, self.month, keys).falling().limit(Some(self.at_once));
        let page = self.ledger.table.query_rows(query, "read a statement").await?;
        let more = page.end.is_some();
        if more && self.at_once < ROWS_AT_ONCE_MAX {
            self.at_once = self.at_once.saturating_mul(2).min(ROWS_AT_ONCE_MAX);
        }
        let rows: Vec<_> = page.items.into_iter().map(receipt).collect::<Result<_, Fault>>()?;
        match rows.last() {
            Some(oldest) if more => self.upper = oldest.entry.id.before(),
            Some(_) | None => {
                self.upper = EntryId::first_at(self.month.start()).before();
                self.month = self.month.previous();
            }
        }
        self.ended = self.upper < self.lower || rows.iter().any(|receipt| receipt.sequence == 1);
        Ok(rows)
    }
}
