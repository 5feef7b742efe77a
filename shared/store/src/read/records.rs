//! A page of an account's credit records, at any depth, by a bounded number of reads.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures_util::future::{FutureExt, try_join3};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::chain::items::full_span;
use crate::chain::raw_rows::{RawRow, RowPlace};
use crate::chain::watermark::Watermark;
use crate::read::record_index::RecordIndex;
use crate::read::statement::StatementPlace;
use crate::record::unbooked::UnbookedPurchase;
use crate::table::error::Fault;
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use domain::{
    Account, AccountId, EntryId, Purchase, PurchaseId, PurchaseStatus, Receipt, RecordFilter, Span,
    StatementQuery,
};

/// How many rows after the end of the chain are read. If the projector is further behind, the list ends with the chain.
const UNCHAINED_MAX: u64 = 256;

/// How many items of one page are read at the same time.
const READS_AT_ONCE: usize = 16;

/// Which records are read: those of a list, after some of it.
#[derive(Clone, Copy, Debug)]
pub struct RecordsQuery {
    /// The list.
    pub filter: RecordFilter,
    /// How many records of the list come before the first one.
    pub offset: u64,
    /// How many records are read at most.
    pub limit: u16,
}

/// A record.
#[derive(Clone, Debug)]
pub enum FoundRecord {
    /// A transaction.
    Booked(Box<Receipt>),
    /// A purchase that is not in the ledger.
    Unbooked(Box<Purchase>),
}

/// A page of records.
#[derive(Clone, Debug)]
pub struct RecordPage {
    /// The records: by falling numbers; a purchase that is not in the ledger stands before the transactions that the
    /// account had when it was made.
    pub records: Vec<FoundRecord>,
    /// How many records the list has.
    pub total: u64,
    /// The account, no older than the records; `None` when it does not exist.
    pub account: Option<Account>,
}

/// Where a record is.
#[derive(Clone, Copy)]
enum RecordPlace {
    Row(u64),
    Purchase(PurchaseId),
}

impl Ledger {
    /// A page of an account's records; `None` where its rows are older than the index of records and too many to be read.
    ///
    /// With `N` records on the page it costs, besides the account, the watermark and at most a thousand small items of
    /// purchases that are not in the ledger: a search of the index, which reads at most two blocks for each doubling of
    /// the account's rows; and for each record at most one block, one span of the chain and one row.
    ///
    /// # Errors
    /// When the table does not answer; when a record is unreadable.
    pub async fn records(
        &self,
        id: AccountId,
        query: RecordsQuery,
        now: DateTime<Utc>,
    ) -> Result<Option<RecordPage>, Fault> {
        let (watermark, account, unbooked) =
            try_join3(self.read_watermark(id, true), self.account(id), self.unbooked(id)).await?;
        let Some(account) = account else {
            return Ok(Some(RecordPage { records: vec![], total: 0, account: None }));
        };
        let unbooked: Vec<_> = unbooked.into_iter().filter(|purchase| purchase.is_in(query.filter)).collect();
        let unchained = self.unchained(&account, &watermark, now).await?;
        let Some(mut index) = RecordIndex::open(self, id, &watermark, query.filter).await? else {
            return Ok(None);
        };
        index.add_unchained(&unchained);
        let total = index.total().saturating_add(u64::try_from(unbooked.len()).unwrap_or(u64::MAX));
        let places = page(&mut index, &unbooked, query).await?;
        let records = self.found(id, &watermark, &places, unchained).await?;
        Ok(Some(RecordPage { records, total, account: Some(account) }))
    }

    /// The transactions after the end of the chain, the newest first: the projector has not seen them yet.
    async fn unchained(
        &self,
        account: &Account,
        watermark: &Watermark,
        now: DateTime<Utc>,
    ) -> Result<Vec<Receipt>, Fault> {
        let behind = account.sequence.saturating_sub(watermark.chained());
        let limit = usize::try_from(behind).unwrap_or(usize::MAX);
        if behind == 0 || UNCHAINED_MAX < behind {
            return Ok(vec![]);
        }
        let now = now.max(account.floor().time());
        let place = StatementPlace { cursor: None, limit };
        let page = self.statement(account.id, &StatementQuery::default(), place, now).await?;
        Ok(page.receipts.into_iter().filter(|row| watermark.chained() < row.sequence).collect())
    }

    /// The records at some places; without purchases that have become transactions meanwhile.
    async fn found(
        &self,
        id: AccountId,
        watermark: &Watermark,
        places: &[RecordPlace],
        unchained: Vec<Receipt>,
    ) -> Result<Vec<FoundRecord>, Fault> {
        let mut known: BTreeMap<u64, Receipt> =
            unchained.into_iter().map(|receipt| (receipt.sequence, receipt)).collect();
        let rows = places.iter().filter_map(|place| match place {
            RecordPlace::Row(number) => Some(*number),
            RecordPlace::Purchase(_) => None,
        });
        let chained: Vec<_> = rows.filter(|number| !known.contains_key(number)).collect();
        known.extend(self.rows_numbered(id, watermark, &chained).await?);
        let bought = places.iter().filter_map(|place| match place {
            RecordPlace::Purchase(purchase) => Some(self.purchase(*purchase).boxed()),
            RecordPlace::Row(_) => None,
        });
        let bought: Vec<_> = bought.collect();
        let mut bought = stream::iter(bought).buffered(READS_AT_ONCE);
        let mut records = Vec::new();
        for place in places {
            records.extend(match place {
                RecordPlace::Row(number) => {
                    let receipt = known.remove(number).ok_or_else(|| missing(*number))?;
                    Some(FoundRecord::Booked(receipt.into()))
                }
                RecordPlace::Purchase(_) => {
                    let purchase = bought.next().await.transpose()?.flatten();
                    let is_unbooked =
                        |purchase: &Purchase| !matches!(purchase.status, PurchaseStatus::Approved(_));
                    purchase.filter(is_unbooked).map(|purchase| FoundRecord::Unbooked(purchase.into()))
                }
            });
        }
        Ok(records)
    }

    /// The transactions of some chained rows, by their numbers.
    async fn rows_numbered(
        &self,
        id: AccountId,
        watermark: &Watermark,
        numbers: &[u64],
    ) -> Result<BTreeMap<u64, Receipt>, Fault> {
        let ids = self.ids_numbered(id, watermark, numbers).await?;
        let all: Vec<_> = ids.values().copied().collect();
        let mut rows = self.rows_among(id, &all).await?;
        let receipt = |(number, id): (u64, EntryId)| {
            let row: RawRow = rows.remove(&RowPlace::of(id)).ok_or_else(|| missing(number))?;
            Ok((number, row.receipt().ok_or_else(|| missing(number))?))
        };
        ids.into_iter().map(receipt).collect()
    }

    /// The ids of some chained rows: one read for each span that is not the open one.
    pub(crate) async fn ids_numbered(
        &self,
        id: AccountId,
        watermark: &Watermark,
        numbers: &[u64],
    ) -> Result<BTreeMap<u64, EntryId>, Fault> {
        let open = watermark.tip.as_ref().map(|tip| &tip.open);
        let mut firsts: Vec<_> = numbers.iter().map(|number| Span::first_of(*number)).collect();
        firsts.sort_unstable();
        firsts.dedup();
        firsts.retain(|first| open.is_none_or(|open| open.first != *first));
        let reads: Vec<_> = firsts.into_iter().map(|first| self.span(id, first).boxed()).collect();
        let spans: Vec<_> = stream::iter(reads).buffer_unordered(READS_AT_ONCE).try_collect().await?;
        let links = spans.iter().chain(open).flat_map(Span::numbered);
        let ids: BTreeMap<_, _> = links.map(|(number, link)| (number, link.id)).collect();
        let id = |number: &u64| Ok((*number, *ids.get(number).ok_or_else(|| missing(*number))?));
        numbers.iter().map(id).collect()
    }

    async fn span(&self, id: AccountId, first: u64) -> Result<Span, Fault> {
        let item = self.unchanging(&Key::Span(id, first)).await?;
        item.as_ref().and_then(full_span).ok_or_else(|| missing(first))
    }
}

/// The places of the records of a page: rows and purchases, merged.
async fn page(
    index: &mut RecordIndex<'_>,
    unbooked: &[UnbookedPurchase],
    query: RecordsQuery,
) -> Result<Vec<RecordPlace>, Fault> {
    let RecordsQuery { offset, limit, .. } = query;
    let before = purchases_before(index, unbooked, offset).await?;
    let skipped = offset.saturating_sub(u64::try_from(before).unwrap_or(u64::MAX));
    let rows = index.numbers(skipped, limit.into()).await?;
    let (mut rows, mut bought) = (rows.into_iter().peekable(), unbooked.iter().skip(before).peekable());
    let mut places = Vec::new();
    while places.len() < limit.into() {
        let is_bought_first = match (rows.peek(), bought.peek()) {
            (Some(row), Some(purchase)) => *row <= purchase.after,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let place = match is_bought_first {
            true => bought.next().map(|purchase| RecordPlace::Purchase(purchase.id)),
            false => rows.next().map(RecordPlace::Row),
        };
        let Some(place) = place else { break };
        places.push(place);
    }
    Ok(places)
}

/// How many purchases are among the first `offset` records: by halving, so for a thousand purchases at most ten blocks are
/// read.
async fn purchases_before(
    index: &mut RecordIndex<'_>,
    unbooked: &[UnbookedPurchase],
    offset: u64,
) -> Result<usize, Fault> {
    let (mut low, mut high) = (0, unbooked.len());
    while low < high {
        let middle = low.midpoint(high);
        let Some(purchase) = unbooked.get(middle) else { break };
        let newer = index.newer_than(purchase.after).await?;
        let place = newer.saturating_add(u64::try_from(middle).unwrap_or(u64::MAX));
        if place < offset { low = middle.saturating_add(1) } else { high = middle }
    }
    Ok(low)
}

fn missing(number: u64) -> Fault {
    Fault::corrupt("a transaction", format!("row {number} is missing or unreadable; audit the account"))
}
