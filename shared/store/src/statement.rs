use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};
use serde::Serialize;

use super::chain::Mark;
use super::item::{RowItem, decode};
use super::key::{Key, row_partition};
use super::{Fault, Ledger};
use domain::{AccountId, Direction, EntryId, Operation, Period, Receipt, Reference};

/// How many rows one call looks at; a sparse filter gives a short page and a cursor to go on with.
const EXAMINED_MAX: usize = 1_000;

/// How far rows are looked ahead for a number whose row may not be written yet. Rows lie by id and are
/// told by number; the two differ only by requests that were under way together. A row that is known
/// to be there is looked for until it is found.
const AHEAD: usize = 256;

/// How far rows are looked ahead where a page begins in the midst of the ledger, at a time and not at
/// a number.
const AHEAD_OF_A_TIME: usize = 1_000;

/// How many rows more than the page has the first read asks for, so that mostly one read is enough.
const SPARE_ROWS: usize = 8;

/// How many rows one read asks for at most. After a read that leaves rows of its month, the next asks for twice as many.
const ROWS_AT_ONCE_MAX: i32 = 512;

/// How many reads one page makes at most, a month without any row counted as one. A page that has made them ends
/// where it is, and its cursor continues there.
const READS_MAX: u32 = 24;

/// By how many minutes a row's place may differ from its time: hosts' clocks, and requests that
/// were overtaken by a fence or by a month's renewal.
const SKEW_MINUTES: i64 = 10;

/// Which transactions a statement tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Query {
    /// Only this direction.
    pub direction: Option<Direction>,
    /// Only this operation, also where it was paid from what was set aside for it.
    pub operation: Option<Operation>,
    /// Only this customer's.
    pub customer: Option<Reference>,
    /// Only this member's.
    pub member: Option<Reference>,
    /// From this instant on.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub to: Option<DateTime<Utc>>,
}

/// One page of a statement, newest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// The transactions, by falling sequence.
    pub receipts: Vec<Receipt>,
    /// Where the next page begins; none on the last.
    pub next: Option<Cursor>,
}

/// A place in one account's statement. What callers get of it is authenticated
/// by the functions; whatever it says, a page reads no month outside the account's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Everything from this number on has been told; [`u64::MAX`] when nothing was found yet.
    below: u64,
    /// Nothing that has not been told lies above this id.
    upper: EntryId,
}

impl Cursor {
    /// The place as text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}.{}", self.below, self.upper.bare())
    }

    /// Reads what [`Cursor::text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (below, upper) = text.split_once('.')?;
        Some(Self { below: below.parse().ok()?, upper: EntryId::from_bare(upper)? })
    }
}

impl Query {
    fn admits(&self, receipt: &Receipt) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let (entry, details) = (&receipt.entry, &receipt.details);
        is(self.direction.as_ref(), Some(&entry.direction))
            && is(self.operation.as_ref(), Some(receipt.paid_for()))
            && is(self.customer.as_ref(), details.customer_id.as_ref())
            && is(self.member.as_ref(), details.member_id.as_ref())
            && self.from.is_none_or(|from| from <= entry.at)
            && self.to.is_none_or(|to| entry.at < to)
    }
}

impl Ledger {
    /// One page of an account's statement: the newest transactions that `query` admits, by falling sequence, none
    /// twice and none left out across pages.
    ///
    /// It makes at most 31 requests, however long the ledger and however many of its months have no row: a page
    /// that comes to that ends early, and its cursor continues there.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn statement(
        &self,
        account: AccountId,
        query: &Query,
        (cursor, limit): (Option<Cursor>, usize),
        now: DateTime<Utc>,
    ) -> Result<Page, Fault> {
        let newest = match cursor {
            None if query.to.is_none() => self.account(account).await?,
            None | Some(_) => None,
        };
        let mut rows = Rows::new(self, account, query, cursor, now);
        rows.at_once = i32::try_from(limit.saturating_add(SPARE_ROWS)).unwrap_or(i32::MAX);
        if let Some(newest) = newest.as_ref().filter(|_| cursor.is_none()) {
            rows.begin_at(newest.floor());
        }
        let mut waiting: BTreeMap<u64, Receipt> = BTreeMap::new();
        // Numbers have no gap: the row with the one below is told without looking further.
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
                // Past the watermark its row may not be written yet.
                below.is_none_or(|below| known_through < Some(below.saturating_sub(1)))
            };
            if !(is_next || rows.ended || is_missing) {
                if rows.reads < READS_MAX {
                    let told = below.unwrap_or(u64::MAX);
                    let read = rows.read().await?.into_iter().filter(|receipt| receipt.sequence < told);
                    waiting.extend(read.map(|receipt| (receipt.sequence, receipt)));
                    continue;
                }
                if waiting.is_empty() || examined > 0 {
                    return Ok(Page { receipts, next: Some(rows.place(below, &waiting)) });
                }
                // Nothing was told yet, so a page that began here again would come no further.
                if let Some(found) = self.chained_below(account, below).await? {
                    waiting.insert(found.sequence, found);
                }
            }
            let Some((sequence, receipt)) = waiting.pop_last() else { break };
            if examined >= EXAMINED_MAX || receipts.len() >= limit && query.admits(&receipt) {
                waiting.insert(sequence, receipt);
                return Ok(Page { receipts, next: Some(rows.place(below, &waiting)) });
            }
            examined = examined.saturating_add(1);
            below = Some(sequence);
            if query.admits(&receipt) {
                receipts.push(receipt);
            }
        }
        Ok(Page { receipts, next: None })
    }

    /// The row with the number below `below`, if the chain knows where it lies.
    async fn chained_below(&self, account: AccountId, below: Option<u64>) -> Result<Option<Receipt>, Fault> {
        let Some(number) = below.and_then(|below| below.checked_sub(1)).filter(|number| *number > 0) else {
            return Ok(None);
        };
        let Some((_, link)) = self.link(account, number).await? else { return Ok(None) };
        let row = self.get(&Key::Row(account, link.id), true, "look for a row").await?;
        let row = row.map(|row| decode::<RowItem>("a transaction", row)).transpose()?.map(RowItem::receipt);
        Ok(row.filter(|row| row.sequence == number))
    }
}

impl Ledger {
    /// Transactions that nobody followed, by rising numbers: those after `seen` and below `before`, the first
    /// thousand of them; of a batch none or all. The stream has lost the records that told of them, but whoever made
    /// an entry mostly wrote its row too. `now` is no earlier than the last of them.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when the rows of some are missing: only a copy of the stream could mend that. When the
    /// table does not serve.
    pub async fn missed(
        &self,
        account: AccountId,
        (seen, before): (&Mark, u64),
        now: DateTime<Utc>,
    ) -> Result<Vec<Receipt>, Fault> {
        let first = seen.followed().saturating_add(1);
        let below = before.min(first.saturating_add(MISSED_MAX));
        let mut cursor = (first < below).then(|| Cursor { below, upper: EntryId::new(now, u128::MAX) });
        let mut missed = BTreeMap::new();
        while let Some(place) = cursor.filter(|place| first < place.below) {
            let wanted = usize::try_from(place.below.saturating_sub(first)).unwrap_or(usize::MAX);
            let page = self.statement(account, &Query::default(), (Some(place), wanted), now).await?;
            let receipts = page.receipts.into_iter().filter(|receipt| first <= receipt.sequence);
            missed.extend(receipts.map(|receipt| (receipt.sequence, receipt)));
            cursor = page.next;
        }
        if !missed.keys().copied().eq(first..below) {
            let lost = format!("of {account} not all rows from {first} to below {below} are there");
            return Err(Fault::corrupt("the stream", lost));
        }
        let mut missed: Vec<_> = missed.into_values().collect();
        if below < before {
            let batch = |receipt: &Receipt| receipt.details.batch.as_ref().map(|place| place.batch);
            let cut = missed.last().and_then(batch);
            while cut.is_some() && missed.last().and_then(batch) == cut {
                missed.pop();
            }
        }
        Ok(missed)
    }
}

/// How many transactions that were missed are told at once: a megabyte or so, and more than a batch has.
const MISSED_MAX: u64 = 1_000;

/// An account's rows, newest id first, month by month.
struct Rows<'a> {
    ledger: &'a Ledger,
    account: AccountId,
    month: Period,
    /// The highest id that has not been read.
    upper: EntryId,
    lower: EntryId,
    ended: bool,
    /// How many rows the next read asks for.
    at_once: i32,
    /// How many reads there were.
    reads: u32,
}

impl<'a> Rows<'a> {
    fn new(
        ledger: &'a Ledger,
        account: AccountId,
        query: &Query,
        cursor: Option<Cursor>,
        now: DateTime<Utc>,
    ) -> Self {
        let skew = Duration::try_minutes(SKEW_MINUTES).unwrap_or_default();
        // An organisation's id tells when it was opened: no row is older than that month.
        let opened = Period::of(account.org.time()).start();
        let from = query.from.and_then(|from| from.checked_sub_signed(skew)).unwrap_or(opened).max(opened);
        let to = query.to.unwrap_or(now).min(now).checked_add_signed(skew).unwrap_or(now);
        // No row is newer than this month, but for clocks that differ.
        let newest = EntryId::first_at(Period::of(to.max(now)).next().next().start()).before();
        let upper = cursor.map_or(EntryId::new(to, u128::MAX), |cursor| cursor.upper.min(newest));
        let lower = EntryId::first_at(from);
        Self {
            ledger,
            account,
            month: Period::of(upper.time()),
            upper,
            lower,
            ended: upper < lower,
            at_once: 1,
            reads: 0,
        }
    }

    /// Begins no lower than at `id`: clocks that were ahead may have made it.
    fn begin_at(&mut self, id: EntryId) {
        if self.upper < id {
            self.upper = id;
            self.month = Period::of(id.time());
            self.ended = self.upper < self.lower;
        }
    }

    /// Where a page begins that continues here: below the number `below`, with the rows that are waiting.
    fn place(&self, below: Option<u64>, waiting: &BTreeMap<u64, Receipt>) -> Cursor {
        let upper = waiting.values().map(|receipt| receipt.entry.id).max();
        Cursor { below: below.unwrap_or(u64::MAX), upper: upper.unwrap_or(self.upper).max(self.upper) }
    }

    /// The next rows; none only for a month without any.
    async fn read(&mut self) -> Result<Vec<Receipt>, Fault> {
        let text = |text: String| AttributeValue::S(text);
        let query = self.ledger.client.query().table_name(&self.ledger.table).consistent_read(true);
        self.reads = self.reads.saturating_add(1);
        let answer = query
            .key_condition_expression("pk = :pk AND sk BETWEEN :lower AND :upper")
            .expression_attribute_values(":pk", text(row_partition(self.account, self.month)))
            .expression_attribute_values(":lower", text(self.lower.bare()))
            .expression_attribute_values(":upper", text(self.upper.bare()))
            .scan_index_forward(false)
            .limit(self.at_once)
            .send()
            .await
            .map_err(|error| Fault::unavailable("read a statement")(error.into()))?;
        let more = answer.last_evaluated_key.is_some();
        if more && self.at_once < ROWS_AT_ONCE_MAX {
            self.at_once = self.at_once.saturating_mul(2).min(ROWS_AT_ONCE_MAX);
        }
        let rows = answer.items.unwrap_or_default().into_iter();
        let rows: Vec<_> = rows
            .map(|item| Ok(decode::<RowItem>("a transaction", item)?.receipt()))
            .collect::<Result<_, Fault>>()?;
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
