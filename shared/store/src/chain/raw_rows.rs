//! Rows as the table stores them, without a check of who wrote them: for the chain and its audit.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::chain::items::full_span;
use crate::table::attribute::{number_of, sort_key};
use crate::table::canonical;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem, row_partition};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use domain::{AccountId, EntryId, Period, RowText, Span, Tip};

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

/// How many months without a row are read at once to find the first row after a time.
const MONTHS_AT_ONCE: u32 = 12;

/// How many reads may return only rows that are chained already.
const READS_MAX: u32 = 50;

/// Texts of rows, by their numbers.
pub type ChainRows = BTreeMap<u64, RowText>;

/// The place of a row: the month of its partition, and its sort key.
pub(crate) type RowPlace = (Period, String);

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
        let (month, sort) = &self.place;
        EntryId::from_bare(sort).filter(|id| Period::of(id.time()) == *month)
    }

    pub(crate) fn text(&self) -> String {
        canonical::text(&self.item)
    }
}

/// The place of the row of an id.
pub(crate) fn place_of(id: EntryId) -> RowPlace {
    (Period::of(id.time()), id.bare())
}

/// The rows of an account by their places, month by month.
pub(crate) struct RawRows<'a> {
    ledger: &'a Ledger,
    account: AccountId,
    /// The next month to be read, and the sort key after which the read begins.
    month: Period,
    after: Option<String>,
    /// The last month to be read.
    last: Period,
    /// How many rows one read asks for; as many as fit when `None`.
    at_once: Option<i32>,
    consistent: bool,
}

impl<'a> RawRows<'a> {
    /// All rows of the months `from..=last`.
    pub(crate) fn of(ledger: &'a Ledger, account: AccountId, from: Period, last: Period) -> Self {
        Self { ledger, account, month: from, after: None, last, at_once: None, consistent: true }
    }

    /// The rows from the time `from` through the month `last`.
    pub(crate) fn since(ledger: &'a Ledger, account: AccountId, from: DateTime<Utc>, last: Period) -> Self {
        let after = Some(EntryId::first_at(from).before().bare());
        Self { ledger, account, month: Period::of(from), after, last, at_once: None, consistent: true }
    }

    /// The rows from the id `from` through the month `last`.
    pub(crate) fn from(ledger: &'a Ledger, account: AccountId, from: EntryId, last: Period) -> Self {
        let after = Some(from.before().bare());
        Self { ledger, account, month: Period::of(from.time()), after, last, at_once: None, consistent: true }
    }

    /// Reads this many rows at once, with eventual consistency unless `consistent`.
    pub(crate) fn read_by(mut self, rows: usize, consistent: bool) -> Self {
        self.at_once = i32::try_from(rows).ok();
        self.consistent = consistent;
        self
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
        let partition = row_partition(self.account, self.month);
        let mut query = ItemQuery::new(partition, keys).consistent(self.consistent);
        query.limit = self.at_once;
        let page = self.ledger.table.query(query, "read rows").await?;
        let month = self.month;
        match page.last.as_ref().and_then(sort_key) {
            Some(last) => self.after = Some(last.to_owned()),
            None => self.month = self.month.next(),
        }
        Ok(Some(page.items.into_iter().filter_map(|item| raw_row(month, item)).collect()))
    }
}

fn raw_row(month: Period, item: StoredItem) -> Option<RawRow> {
    let place = (month, sort_key(&item)?.to_owned());
    Some(RawRow { place, item })
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
        let mut rows = RawRows::since(self, account, from, Period::of(now));
        rows.at_once = i32::try_from(AHEAD).ok();
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
    /// read mostly finds all; the others are read one by one.
    pub(crate) async fn rows_among(
        &self,
        account: AccountId,
        ids: &[EntryId],
    ) -> Result<BTreeMap<RowPlace, RawRow>, Fault> {
        let mut months: BTreeMap<Period, Vec<EntryId>> = BTreeMap::new();
        for id in ids {
            months.entry(Period::of(id.time())).or_default().push(*id);
        }
        let mut found = BTreeMap::new();
        for (month, ids) in months {
            let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else { continue };
            let keys = SortKeys::Between(first.bare(), last.bare());
            let limit = i32::try_from(ids.len().saturating_add(SPARE)).unwrap_or(i32::MAX);
            let query = ItemQuery::new(row_partition(account, month), keys).limit(limit);
            let items = self.table.query(query, "read rows").await?.items.into_iter();
            let rows = items.filter_map(|item| raw_row(month, item));
            found.extend(rows.map(|row| (row.place.clone(), row)));
        }
        for id in ids.iter().filter(|id| !found.contains_key(&place_of(**id))).collect::<Vec<_>>() {
            if let Some(item) = self.table.get(&Key::Row(account, *id), "look for a row").await? {
                found.insert(place_of(*id), RawRow { place: place_of(*id), item });
            }
        }
        Ok(found)
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
        let Some(near) = self.lowest_near(account, tip).await? else {
            return next_rows(RawRows::of(self, account, Period::of(account.org.time()), last), next).await;
        };
        for minutes in MINUTES_BACK {
            let back = Duration::try_minutes(minutes).unwrap_or_default();
            let from = near.time().checked_sub_signed(back).unwrap_or_default();
            let found = next_rows(RawRows::since(self, account, from, last), next).await?;
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
                found.insert(number, RowText { id, text: row.text() });
            }
        }
        if found.len() >= BACK_MAX || found.len() >= AHEAD && !found.contains_key(&next) {
            break;
        }
    }
    Ok(found)
}
