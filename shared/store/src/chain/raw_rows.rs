//! Rows as the table stores them, without a check of who wrote them: for the chain and its audit.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use futures_util::future::FutureExt;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::chain::items::full_span;
use crate::table::attribute::{number_of, sort_key, text_of};
use crate::table::canonical;
use crate::table::error::Fault;
use crate::table::item::receipt;
use crate::table::key::{Key, StoredItem, row_partition};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::row_query::{AccountRows, RowPartition, RowQuery};
use domain::{AccountId, EntryId, Period, Receipt, RecordKind, RowShard, RowText, Span, Tip};

/// How many minutes before the last chained rows the search for the next row begins; the shorter time is tried first.
/// Ids and numbers differ by concurrent requests and by hosts' clocks.
const MINUTES_BACK: [i64; 2] = [1, 10];

/// How many rows are read at once for a chain that is behind: some megabytes at most. The next records of the stream
/// continue.
const BACK_MAX: usize = 2_000;

/// How many rows may lie before the one with the next number.
const AHEAD: usize = 256;

/// How many extra rows one read requests: other rows may lie among the wanted ones.
const SPARE: usize = 8;

/// How many partitions, or rows that lie apart, are read at the same time.
const READS_AT_ONCE: usize = 16;

/// How many months without a row are read at once to find the first row after a time.
const MONTHS_AT_ONCE: u32 = 12;

/// How many reads may return only rows that are chained already.
const READS_MAX: u32 = 50;

/// Texts of rows, by their numbers.
pub type ChainRows = BTreeMap<u64, RowText>;

/// The place of a row. Places are in the order of the rows' ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowPlace {
    /// The month of its partition.
    pub(crate) month: Period,
    /// Its sort key.
    pub(crate) sort: String,
    /// Whether it is in the shard that its sort key stands for.
    is_in_its_shard: bool,
}

impl RowPlace {
    /// The place of the row of an id.
    pub(crate) fn of(id: EntryId) -> Self {
        Self { month: Period::of(id.time()), sort: id.bare(), is_in_its_shard: true }
    }

    /// The place of a row that was found in a month's partitions.
    fn found(account: AccountId, month: Period, item: &StoredItem) -> Option<Self> {
        let sort = sort_key(item)?.to_owned();
        let partition = |id: EntryId| row_partition(account, month, id.row_shard());
        let own = EntryId::from_bare(&sort).map(partition);
        let is_in_its_shard = own.is_some() && text_of(item, "pk") == own.as_deref();
        Some(Self { month, sort, is_in_its_shard })
    }

    /// The id that the place stands for; `None` for a place where no row is ever written.
    fn id(&self) -> Option<EntryId> {
        let id = EntryId::from_bare(&self.sort).filter(|_| self.is_in_its_shard);
        id.filter(|id| Period::of(id.time()) == self.month)
    }
}

/// The first row at or after a time.
pub(crate) enum RowSince {
    /// The row of this number.
    Number(u64),
    /// There is none.
    NoRow,
    /// There is none before this later time; rows from there on were not read.
    NotBefore(DateTime<Utc>),
}

/// A row as the table has it.
pub(crate) struct RawRow {
    pub(crate) place: RowPlace,
    pub(crate) item: StoredItem,
}

impl RawRow {
    /// The number in its item.
    pub(crate) fn number(&self) -> Option<u64> {
        number_of(&self.item, "seq")
    }

    /// The id that its place stands for; `None` in a place where no row is ever written.
    pub(crate) fn id(&self) -> Option<EntryId> {
        self.place.id()
    }

    pub(crate) fn text(&self) -> String {
        canonical::text(&self.item)
    }

    /// The transaction; `None` when it is unreadable.
    pub(crate) fn receipt(&self) -> Option<Receipt> {
        receipt(self.item.clone()).ok()
    }

    /// The row as it is chained under its id.
    pub(crate) fn for_chain(&self, id: EntryId) -> RowText {
        RowText { id, text: self.text(), kind: self.kind() }
    }

    /// What it is as a record; an unreadable row is none.
    pub(crate) fn kind(&self) -> RecordKind {
        self.receipt().as_ref().map_or(RecordKind::Nothing, RecordKind::of)
    }
}

/// The rows of an account by their places, month by month.
pub(crate) struct RawRows<'a> {
    ledger: &'a Ledger,
    rows: AccountRows,
    /// The next month to be read, and the sort key after which the read begins.
    month: Period,
    after: Option<String>,
    /// The last month to be read.
    last: Period,
    /// How many rows one read asks for; as many as fit when `None`.
    at_once: Option<i32>,
    /// Whether that is from each shard.
    is_of_each: bool,
    consistent: bool,
}

impl<'a> RawRows<'a> {
    /// All rows of the months `from..=last`.
    pub(crate) fn of(ledger: &'a Ledger, rows: AccountRows, from: Period, last: Period) -> Self {
        Self {
            ledger,
            rows,
            month: from,
            after: None,
            last,
            at_once: None,
            is_of_each: false,
            consistent: true,
        }
    }

    /// The rows from the time `from` through the month `last`.
    pub(crate) fn since(ledger: &'a Ledger, rows: AccountRows, from: DateTime<Utc>, last: Period) -> Self {
        Self::from(ledger, rows, EntryId::first_at(from), last)
    }

    /// The rows from the id `from` through the month `last`.
    pub(crate) fn from(ledger: &'a Ledger, rows: AccountRows, from: EntryId, last: Period) -> Self {
        let after = Some(from.before().bare());
        Self { after, ..Self::of(ledger, rows, Period::of(from.time()), last) }
    }

    /// Reads this many rows at once, with eventual consistency unless `consistent`.
    pub(crate) fn read_by(mut self, rows: usize, consistent: bool) -> Self {
        self.at_once = i32::try_from(rows).ok();
        self.consistent = consistent;
        self
    }

    /// Whether it reads the rows of a shard.
    pub(crate) fn reads(&self, shard: RowShard) -> bool {
        self.rows.shards.contains(shard)
    }

    /// Whether a month comes after the last one that is read.
    pub(crate) fn ends_before(&self, month: Period) -> bool {
        self.last < month
    }

    /// The next rows. An empty page means a month without rows; `None` is the end.
    pub(crate) async fn read(&mut self) -> Result<Option<Vec<RawRow>>, Fault> {
        if self.last < self.month {
            return Ok(None);
        }
        let keys = self.after.take().map_or(SortKeys::All, SortKeys::After);
        let query = RowQuery::new(self.rows, self.month, keys).consistent(self.consistent);
        let query = match self.at_once {
            Some(rows) if self.is_of_each => query.limit_each(rows),
            limit => query.limit(limit),
        };
        let page = self.ledger.table.query_rows(query, "read rows").await?;
        let (account, month) = (self.rows.account, self.month);
        self.after = page.end;
        if self.after.is_none() {
            self.month = self.month.next();
        }
        Ok(Some(page.items.into_iter().filter_map(|item| raw_row(account, month, item)).collect()))
    }
}

fn raw_row(account: AccountId, month: Period, item: StoredItem) -> Option<RawRow> {
    Some(RawRow { place: RowPlace::found(account, month, &item)?, item })
}

impl Ledger {
    /// The lowest number of the rows whose ids lie at or after a time. Ids and numbers differ by concurrent requests,
    /// so it compares some rows. The number of reads is bounded, however many months have no row.
    pub(crate) async fn number_since(
        &self,
        account: AccountId,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<RowSince, Fault> {
        let from = at.max(Period::of(account.org.time()).start());
        let of = self.rows_of_account(account).await?;
        let mut rows = RawRows::since(self, of, from, Period::of(now));
        rows.at_once = i32::try_from(AHEAD).ok();
        rows.is_of_each = true;
        for _ in 0..MONTHS_AT_ONCE {
            let Some(page) = rows.read().await? else { return Ok(RowSince::NoRow) };
            if let Some(number) = page.iter().filter_map(RawRow::number).min() {
                return Ok(RowSince::Number(number));
            }
        }
        // A month whose rows have no numbers is not read twice.
        let later = rows.month.start();
        let is_end = rows.last < rows.month || later <= from;
        Ok(if is_end { RowSince::NoRow } else { RowSince::NotBefore(later) })
    }

    /// The rows of these ids, and other rows that lie among them. Rows of consecutive numbers lie close together, so one
    /// read mostly finds all; the others are read side by side.
    pub(crate) async fn rows_among(
        &self,
        account: AccountId,
        ids: &[EntryId],
    ) -> Result<BTreeMap<RowPlace, RawRow>, Fault> {
        let mut ranges: BTreeMap<RowPartition, Vec<EntryId>> = BTreeMap::new();
        for id in ids {
            ranges.entry(RowPartition::of(*id)).or_default().push(*id);
        }
        let ranges: Vec<_> =
            ranges.into_iter().map(|(of, ids)| self.rows_within(account, of, ids).boxed()).collect();
        let rows: Vec<_> = stream::iter(ranges).buffer_unordered(READS_AT_ONCE).try_collect().await?;
        let mut found: BTreeMap<_, _> =
            rows.into_iter().flatten().map(|row| (row.place.clone(), row)).collect();
        let others = ids.iter().filter(|id| !found.contains_key(&RowPlace::of(**id)));
        let others: Vec<_> = others.map(|id| self.row_of(account, *id).boxed()).collect();
        let others: Vec<_> = stream::iter(others).buffer_unordered(READS_AT_ONCE).try_collect().await?;
        found.extend(others.into_iter().flatten().map(|row| (row.place.clone(), row)));
        Ok(found)
    }

    /// The first rows between ids of one partition: a few more than there are ids.
    async fn rows_within(
        &self,
        account: AccountId,
        of: RowPartition,
        ids: Vec<EntryId>,
    ) -> Result<Vec<RawRow>, Fault> {
        let RowPartition { month, shard } = of;
        let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else { return Ok(vec![]) };
        let keys = SortKeys::Between(first.bare(), last.bare());
        let limit = i32::try_from(ids.len().saturating_add(SPARE)).unwrap_or(i32::MAX);
        let query = ItemQuery::new(row_partition(account, month, shard), keys).limit(limit);
        let items = self.table.query(query, "read rows").await?.items.into_iter();
        Ok(items.filter_map(|item| raw_row(account, month, item)).collect())
    }

    async fn row_of(&self, account: AccountId, id: EntryId) -> Result<Option<RawRow>, Fault> {
        let item = self.table.get(&Key::Row(account, id), "look for a row").await?;
        Ok(item.map(|item| RawRow { place: RowPlace::of(id), item }))
    }

    /// The rows that follow the end of a chain, if the one with its next number is among them. They are stored by id,
    /// close after the last chained rows. `now` is no earlier than the last of them.
    pub(crate) async fn rows_after_tip(
        &self,
        account: AccountId,
        tip: &Tip,
        now: DateTime<Utc>,
    ) -> Result<ChainRows, Fault> {
        let next = tip.sequence().saturating_add(1);
        let last = Period::of(now);
        let of = self.rows_of_account(account).await?;
        let Some(near) = self.lowest_near(account, tip).await? else {
            return next_rows(RawRows::of(self, of, Period::of(account.org.time()), last), next).await;
        };
        for minutes in MINUTES_BACK {
            let back = Duration::try_minutes(minutes).unwrap_or_default();
            let from = near.time().checked_sub_signed(back).unwrap_or_default();
            let found = next_rows(RawRows::since(self, of, from, last), next).await?;
            if found.contains_key(&next) {
                return Ok(found);
            }
        }
        Ok(ChainRows::new())
    }

    /// The lowest id of the last rows of a chain; `None` at its beginning.
    async fn lowest_near(&self, account: AccountId, tip: &Tip) -> Result<Option<EntryId>, Fault> {
        let before = tip.open.first.checked_sub(1).filter(|before| *before > 0);
        let closed = match before {
            Some(before) => {
                let key = Key::Span(account, Span::first_of(before));
                self.table.get(&key, "read a span of a chain").await?
            }
            None => None,
        };
        let closed = closed.as_ref().and_then(full_span);
        let links = closed.iter().flat_map(|span| &span.links).chain(&tip.open.links);
        Ok(links.map(|link| link.id).min())
    }
}

/// The rows from the number `next` on, as far as they have to be read to find that one.
async fn next_rows(mut rows: RawRows<'_>, next: u64) -> Result<ChainRows, Fault> {
    let mut found = ChainRows::new();
    for _ in 0..READS_MAX {
        let Some(page) = rows.read().await? else { break };
        for row in page {
            let (Some(number), Some(id)) = (row.number(), row.id()) else { continue };
            if next <= number {
                found.insert(number, row.for_chain(id));
            }
        }
        if found.len() >= BACK_MAX || found.len() >= AHEAD && !found.contains_key(&next) {
            break;
        }
    }
    Ok(found)
}
