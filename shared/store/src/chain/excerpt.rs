//! Excerpts of an account's chain, checked against it, and proofs of single transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};

use crate::chain::items::{checkpoint, full_span};
use crate::chain::raw_rows::{RawRow, RowPlace, RowSince};
use crate::chain::watermark::Watermark;
use crate::table::canonical;
use crate::table::error::Fault;
use crate::table::item::receipt;
use crate::table::key::{Key, chain_partition, checkpoint_partition};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use domain::{AccountId, ChainCheck, Checkpoint, EntryId, Finding, Hash, Link, Problem, Receipt, Span};

/// Where an excerpt begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainPosition {
    /// At the row of this number.
    Number(u64),
    /// At the first row whose transaction was made at or after this time.
    Time(DateTime<Utc>),
}

/// Some rows of an account with their places in the chain, checked against it.
#[derive(Clone, Debug)]
pub struct Excerpt {
    /// The number of its first row.
    pub from: u64,
    /// The number of its last row; below `from` when it has no rows.
    pub to: u64,
    /// The hash before its first row; `None` where that row is not chained yet.
    pub before: Option<Hash>,
    /// The rows, by rising number. A missing span of the chain is a finding.
    pub rows: Vec<ExcerptRow>,
    /// The end of the chain: number and hash.
    pub tip: (u64, Hash),
    /// The days that ended with one of its rows, or with the row before them.
    pub checkpoints: Vec<Checkpoint>,
    /// Everything that is wrong with it.
    pub findings: Vec<Finding>,
    /// Where the next excerpt begins; `None` when this is the last one.
    pub next: Option<ExcerptCursor>,
}

/// One row of an excerpt.
#[derive(Clone, Debug)]
pub struct ExcerptRow {
    /// Its number.
    pub sequence: u64,
    /// Its place in the chain.
    pub link: Link,
    /// Its text as it is stored now; `None` when the row is missing.
    pub text: Option<String>,
    /// The transaction; `None` when the row is missing or unreadable.
    pub receipt: Option<Receipt>,
}

/// A proof that a transaction is a row of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowProof {
    /// The row's number.
    pub sequence: u64,
    /// The hash before it.
    pub before: Hash,
    /// The hash with it.
    pub hash: Hash,
    /// Its text.
    pub text: String,
}

/// Where an excerpt continues: its first row and its last. A time is kept until the number of its row is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExcerptCursor {
    next: ChainPosition,
    last: ChainPosition,
}

/// A range of an account's rows. Without `from` it begins with the first row, without `to` it ends with the last. The
/// row of a number is included at both ends; a time at the end is excluded.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChainRange {
    /// Its first row.
    pub from: Option<ChainPosition>,
    /// Its last row.
    pub to: Option<ChainPosition>,
}

/// Which page of a range an excerpt is.
#[derive(Clone, Copy, Debug)]
pub struct ExcerptPage {
    /// Where it begins; the beginning of the range when `None`.
    pub cursor: Option<ExcerptCursor>,
    /// How many rows it has at most.
    pub limit: u64,
}

impl ChainPosition {
    fn text(self) -> String {
        match self {
            Self::Number(number) => format!("n{number}"),
            Self::Time(at) => format!("t{}", at.timestamp()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.split_at_checked(1)? {
            ("n", number) => Some(Self::Number(number.parse().ok()?)),
            ("t", seconds) => Some(Self::Time(DateTime::from_timestamp(seconds.parse().ok()?, 0)?)),
            _ => None,
        }
    }
}

impl ExcerptCursor {
    /// The cursor as text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}.{}", self.next.text(), self.last.text())
    }

    /// Reads what [`ExcerptCursor::text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (next, last) = text.split_once('.')?;
        Some(Self { next: ChainPosition::parse(next)?, last: ChainPosition::parse(last)? })
    }
}

/// The resolved boundaries of an excerpt.
enum ExcerptRange {
    /// The numbers of its first and its last row.
    Numbers(u64, u64),
    /// The search for the rows has not ended within one request.
    SearchContinues(ExcerptCursor),
}

impl Ledger {
    /// An excerpt of an account's chain: the first `page.limit` rows of a range, checked against the chain together with
    /// the row before and the row after them, so that each finding names the right row.
    ///
    /// If the rows of the range's times are not found within some dozens of reads, because many months have no row, the
    /// excerpt has no row and `next` continues the search.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn excerpt(
        &self,
        account: AccountId,
        range: ChainRange,
        page: ExcerptPage,
        now: DateTime<Utc>,
    ) -> Result<Excerpt, Fault> {
        let watermark = self.read_watermark(account, true).await?;
        let tip =
            (watermark.chained(), watermark.tip.as_ref().map_or(Hash::genesis(account), |tip| tip.hash()));
        let ExcerptPage { cursor, limit } = page;
        let wanted = cursor.unwrap_or(ExcerptCursor {
            next: range.from.unwrap_or(ChainPosition::Number(1)),
            last: range.to.unwrap_or(ChainPosition::Number(u64::MAX)),
        });
        let (from, last) = match self.numbers(account, wanted, tip.0.saturating_add(1), now).await? {
            ExcerptRange::Numbers(from, last) => (from, last),
            ExcerptRange::SearchContinues(later) => {
                let (from, to, before) = (tip.0.saturating_add(1), tip.0, Some(tip.1));
                let (rows, checkpoints, findings) = (vec![], vec![], vec![]);
                return Ok(Excerpt { from, to, before, rows, tip, checkpoints, findings, next: Some(later) });
            }
        };
        let to = last.min(tip.0).min(from.saturating_add(limit).saturating_sub(1));
        let mut findings = Vec::new();
        if watermark.is_broken {
            findings.push(Finding::account(Problem::TipAltered));
        }
        if to < from {
            let before = (from == tip.0.saturating_add(1)).then_some(tip.1);
            let (rows, checkpoints) = (vec![], vec![]);
            let to = from.saturating_sub(1);
            return Ok(Excerpt { from, to, before, rows, tip, checkpoints, findings, next: None });
        }
        let checked = (from.saturating_sub(1).max(1))..=(to.saturating_add(1).min(tip.0));
        let spans = self.spans(account, &checked, &watermark).await?;
        let links: BTreeMap<u64, Link> = spans.iter().flat_map(Span::numbered).collect();
        let ids: Vec<_> = links.values().map(|link| link.id).collect();
        let rows = self.rows_among(account, &ids).await?;
        let found = check(account, &spans, &checked, &rows);
        findings.extend(found.into_iter().filter(|found| belongs(found, &(from..=to))));
        findings.extend(self.strays(account, &links, &rows).await?);
        let mut checkpoints = self.checkpoints(account, &links).await?;
        for Checkpoint { date, sequence, hash } in &checkpoints {
            if links.get(sequence).is_some_and(|link| link.hash != *hash) {
                findings.push(Finding::row(*sequence, None, Problem::CheckpointAltered(*date)));
            }
        }
        // The rows before and after those of the page were read to be checked against them.
        checkpoints.retain(|known| (from..=to).contains(&known.sequence));
        let before = spans.iter().find_map(|span| span.link(from)).map(|(before, _)| before);
        let next = (to < last.min(tip.0)).then_some(ExcerptCursor {
            next: ChainPosition::Number(to.saturating_add(1)),
            last: ChainPosition::Number(last),
        });
        let rows =
            links.range(from..=to).map(|(sequence, link)| excerpt_row(*sequence, *link, &rows)).collect();
        Ok(Excerpt { from, to, before, rows, tip, checkpoints, findings, next })
    }

    /// The proof that the transaction `id` is the row of this number; `None` while it is not chained yet, and for a
    /// transaction that the chain does not have.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn proof(
        &self,
        account: AccountId,
        id: EntryId,
        sequence: u64,
    ) -> Result<Option<RowProof>, Fault> {
        let Some((before, link)) = self.link(account, sequence).await? else { return Ok(None) };
        if link.id != id {
            tracing::error!(%account, transaction = %id, sequence, "a transaction is not the chain's row of its number");
            return Ok(None);
        }
        let row = self.table.read(&Key::Row(account, id), false, "look for a row").await?;
        Ok(row.map(|row| RowProof { sequence, before, hash: link.hash, text: canonical::text(&row) }))
    }

    /// A row's place in the chain, and the hash before it; `None` when it is not chained.
    pub(crate) async fn link(
        &self,
        account: AccountId,
        sequence: u64,
    ) -> Result<Option<(Hash, Link)>, Fault> {
        let key = Key::Span(account, Span::first_of(sequence));
        for consistent in [false, true] {
            let full = self.table.read(&key, consistent, "read a span of a chain").await?;
            if let Some(full) = full {
                return Ok(full_span(&full).and_then(|span| span.link(sequence)));
            }
            let watermark = self.read_watermark(account, consistent).await?;
            if let Some(found) = watermark.tip.as_ref().and_then(|tip| tip.open.link(sequence)) {
                return Ok(Some(found));
            }
            if watermark.chained() < sequence {
                return Ok(None);
            }
            // The open span was closed between the two reads.
        }
        Ok(None)
    }

    /// The numbers of an excerpt's first and last row, or where the search for them continues. A time after all rows
    /// stands for the number `coming`, which the next row will have.
    async fn numbers(
        &self,
        account: AccountId,
        wanted: ExcerptCursor,
        coming: u64,
        now: DateTime<Utc>,
    ) -> Result<ExcerptRange, Fault> {
        let next = match wanted.next {
            ChainPosition::Number(number) => number.max(1),
            ChainPosition::Time(at) => match self.number_since(account, at, now).await? {
                RowSince::Number(number) => number,
                RowSince::NoRow => coming,
                RowSince::NotBefore(later) => {
                    let later = ExcerptCursor { next: ChainPosition::Time(later), ..wanted };
                    return Ok(ExcerptRange::SearchContinues(later));
                }
            },
        };
        let last = match wanted.last {
            ChainPosition::Number(number) => number,
            ChainPosition::Time(at) => match self.number_since(account, at, now).await? {
                RowSince::Number(number) => number.saturating_sub(1),
                RowSince::NoRow => u64::MAX,
                RowSince::NotBefore(later) => {
                    let next = ChainPosition::Number(next);
                    let later = ExcerptCursor { next, last: ChainPosition::Time(later) };
                    return Ok(ExcerptRange::SearchContinues(later));
                }
            },
        };
        Ok(ExcerptRange::Numbers(next, last))
    }

    /// The existing spans of the chain that hold these numbers, cut to them.
    async fn spans(
        &self,
        account: AccountId,
        numbers: &RangeInclusive<u64>,
        watermark: &Watermark,
    ) -> Result<Vec<Span>, Fault> {
        let (from, to) = (*numbers.start(), *numbers.end());
        let keys = SortKeys::Between(format!("{:016}", Span::first_of(from)), format!("{to:016}"));
        let items =
            self.table.query(ItemQuery::new(chain_partition(account), keys), "read a chain").await?.items;
        let full: Vec<_> = items.iter().filter_map(full_span).collect();
        let open = watermark.tip.as_ref().map(|tip| tip.open.clone());
        let open = open.filter(|open| full.iter().all(|full| full.first < open.first));
        let spans = full.into_iter().chain(open);
        Ok(spans.filter_map(|span| span.within(from, to)).collect())
    }

    /// The checkpoints of the days that ended with one of these rows.
    async fn checkpoints(
        &self,
        account: AccountId,
        links: &BTreeMap<u64, Link>,
    ) -> Result<Vec<Checkpoint>, Fault> {
        let days = || links.values().map(|link| link.id.time().date_naive());
        let (Some(first), Some(last)) = (days().min(), days().max()) else { return Ok(vec![]) };
        let keys = SortKeys::Between(first.to_string(), last.to_string());
        let query = ItemQuery::new(checkpoint_partition(account), keys);
        let items = self.table.query(query, "read checkpoints").await?.items;
        let known = items.iter().filter_map(checkpoint);
        Ok(known.filter(|known| links.contains_key(&known.sequence)).collect())
    }

    /// Rows among the others that are not in the chain: copied or moved rows.
    async fn strays(
        &self,
        account: AccountId,
        links: &BTreeMap<u64, Link>,
        rows: &BTreeMap<RowPlace, RawRow>,
    ) -> Result<Vec<Finding>, Fault> {
        let known: BTreeSet<_> = links.values().map(|link| RowPlace::of(link.id)).collect();
        let mut strays = Vec::new();
        for row in rows.values().filter(|row| !known.contains(&row.place)) {
            let sequence = row.number();
            let is_in_place = match sequence {
                Some(number) if links.contains_key(&number) => false,
                Some(number) => match self.link(account, number).await? {
                    Some((_, link)) => Some(link.id) == row.id(),
                    // Not chained yet: it was written together with these rows. Or its span is missing, which is a
                    // finding of its own.
                    None => true,
                },
                None => false,
            };
            if !is_in_place {
                strays.push(Finding { sequence, transaction: row.id(), problem: Problem::Stray });
            }
        }
        Ok(strays)
    }
}

/// Checks rows against their spans of the chain.
fn check(
    account: AccountId,
    spans: &[Span],
    numbers: &RangeInclusive<u64>,
    rows: &BTreeMap<RowPlace, RawRow>,
) -> Vec<Finding> {
    let (from, to) = (*numbers.start(), *numbers.end());
    let before = spans.first().filter(|span| span.first == from).map(|span| span.before);
    let mut chain = ChainCheck::from(from, before.unwrap_or(Hash::genesis(account)));
    for span in spans {
        chain.begin(span);
        for link in &span.links {
            let row = rows.get(&RowPlace::of(link.id));
            chain.row(*link, row.map(RawRow::text).as_deref());
        }
    }
    let next = chain.next();
    let (mut found, _) = chain.finish();
    if next <= to {
        found.push(Finding::row(next, None, Problem::SpanMissing));
    }
    found
}

/// Whether a finding is about these rows. The hash before the first row counts, because callers continue from it, and
/// so does a gap that may reach into them.
fn belongs(found: &Finding, numbers: &RangeInclusive<u64>) -> bool {
    let reaches = [Problem::HashAltered, Problem::SpanMissing].contains(&found.problem);
    reaches && found.sequence == numbers.start().checked_sub(1)
        || found.sequence.is_some_and(|number| numbers.contains(&number))
}

fn excerpt_row(sequence: u64, link: Link, rows: &BTreeMap<RowPlace, RawRow>) -> ExcerptRow {
    let row = rows.get(&RowPlace::of(link.id));
    let receipt = row.and_then(|row| receipt(row.item.clone()).ok());
    ExcerptRow { sequence, link, text: row.map(RawRow::text), receipt }
}
