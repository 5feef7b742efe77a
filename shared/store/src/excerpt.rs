use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use super::chain::{Mark, checkpoint, full_span};
use super::item::{RowItem, decode};
use super::key::{Key, chain_partition, checkpoint_partition};
use super::raw::{RawRow, Since, place_of};
use super::{Fault, Ledger, canonical};
use domain::{
    AccountId, ChainCheck, Checkpoint, EntryId, Finding, Hash, Link, Period, Problem, Receipt, Span,
};

/// Where an excerpt begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// With the row of this number.
    Number(u64),
    /// At a time, by when transactions were made.
    Time(DateTime<Utc>),
}

/// Some rows of an account with their places in the chain, held against it.
#[derive(Clone, Debug)]
pub struct Excerpt {
    /// The numbers of its rows, `from..=to`; `to` is below `from` where there are none.
    pub from: u64,
    /// See `from`.
    pub to: u64,
    /// The hash before its first row; none where the chain has not come so far.
    pub before: Option<Hash>,
    /// The rows, by rising number. A part of the chain that is missing is a finding.
    pub rows: Vec<ExcerptRow>,
    /// Where the chain ends: number and hash.
    pub tip: (u64, Hash),
    /// The days that ended with one of its rows, or the one before.
    pub checkpoints: Vec<Checkpoint>,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// Where the next one begins; none when this was the last.
    pub next: Option<ExcerptCursor>,
}

/// One row of an excerpt.
#[derive(Clone, Debug)]
pub struct ExcerptRow {
    /// Its number.
    pub sequence: u64,
    /// Its place in the chain.
    pub link: Link,
    /// Its text as it is stored now; none when it is missing.
    pub text: Option<String>,
    /// What it says; none when it is missing or does not read.
    pub receipt: Option<Receipt>,
}

/// That a transaction is a row of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The row's number.
    pub sequence: u64,
    /// The hash before it.
    pub before: Hash,
    /// The hash with it.
    pub hash: Hash,
    /// Its text.
    pub text: String,
}

/// Where an excerpt goes on: its first row and its last. A time stays one until the number is known that it stands
/// for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExcerptCursor {
    next: Place,
    last: Place,
}

impl Place {
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
    /// The place as text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}.{}", self.next.text(), self.last.text())
    }

    /// Reads what [`ExcerptCursor::text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (next, last) = text.split_once('.')?;
        Some(Self { next: Place::parse(next)?, last: Place::parse(last)? })
    }
}

impl Ledger {
    /// An excerpt of an account's chain: of the rows from one place to another, both with it where they are
    /// numbers, before the other where it is a time, the first `limit`; held against the chain, with the row
    /// before and the row after it, so that a finding names the right one.
    ///
    /// Where the numbers of two times are still looked for after some dozens of reads, through months without any row,
    /// the excerpt has no row and `next` continues to look.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn excerpt(
        &self,
        account: AccountId,
        range: (Option<Place>, Option<Place>),
        (cursor, limit): (Option<ExcerptCursor>, u64),
        now: DateTime<Utc>,
    ) -> Result<Excerpt, Fault> {
        let mark = self.read_mark(account, true).await?;
        let tip = (mark.chained(), mark.tip.as_ref().map_or(Hash::genesis(account), |tip| tip.hash()));
        let wanted = cursor.unwrap_or(ExcerptCursor {
            next: range.0.unwrap_or(Place::Number(1)),
            last: range.1.unwrap_or(Place::Number(u64::MAX)),
        });
        let (from, last) = match self.numbers(account, wanted, (tip.0.saturating_add(1), now)).await? {
            Ok(numbers) => numbers,
            Err(later) => {
                let (from, to, before) = (tip.0.saturating_add(1), tip.0, Some(tip.1));
                let (rows, checkpoints, findings) = (vec![], vec![], vec![]);
                return Ok(Excerpt { from, to, before, rows, tip, checkpoints, findings, next: Some(later) });
            }
        };
        let to = last.min(tip.0).min(from.saturating_add(limit).saturating_sub(1));
        let mut findings = Vec::new();
        if mark.is_broken() {
            findings.push(Finding::account(Problem::TipAltered));
        }
        if to < from {
            let before = (from == tip.0.saturating_add(1)).then_some(tip.1);
            let (rows, checkpoints) = (vec![], vec![]);
            let to = from.saturating_sub(1);
            return Ok(Excerpt { from, to, before, rows, tip, checkpoints, findings, next: None });
        }
        let looked_at = (from.saturating_sub(1).max(1), to.saturating_add(1).min(tip.0));
        let parts = self.parts(account, looked_at, &mark).await?;
        let links: BTreeMap<u64, Link> = parts.iter().flat_map(Span::numbered).collect();
        let ids: Vec<_> = links.values().map(|link| link.id).collect();
        let rows = self.rows_among(account, &ids).await?;
        let found = check(account, &parts, looked_at, &rows);
        findings.extend(found.into_iter().filter(|found| belongs(found, (from, to))));
        findings.extend(self.strays(account, &links, &rows).await?);
        let checkpoints = self.checkpoints(account, &links).await?;
        for Checkpoint { date, sequence, hash } in &checkpoints {
            if links.get(sequence).is_some_and(|link| link.hash != *hash) {
                findings.push(Finding::row(*sequence, None, Problem::CheckpointAltered(*date)));
            }
        }
        let before = parts.iter().find_map(|part| part.link(from)).map(|(before, _)| before);
        let next = (to < last.min(tip.0)).then_some(ExcerptCursor {
            next: Place::Number(to.saturating_add(1)),
            last: Place::Number(last),
        });
        let rows = links.range(from..=to).map(|(sequence, link)| told(*sequence, *link, &rows)).collect();
        Ok(Excerpt { from, to, before, rows, tip, checkpoints, findings, next })
    }

    /// The proof that the transaction `id` is the row of this number; `None` while it is not chained yet, and
    /// for one that the chain does not have.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn proof(
        &self,
        account: AccountId,
        id: EntryId,
        sequence: u64,
    ) -> Result<Option<Proof>, Fault> {
        let Some((before, link)) = self.link(account, sequence).await? else { return Ok(None) };
        if link.id != id {
            tracing::error!(%account, transaction = %id, sequence, "a transaction is not the chain's row of its number");
            return Ok(None);
        }
        let row = self.get(&Key::Row(account, id), false, "look for a row").await?;
        Ok(row.map(|row| Proof { sequence, before, hash: link.hash, text: canonical::text(&row) }))
    }

    /// A row's place in the chain, and the hash before it; `None` when it is not chained.
    pub(super) async fn link(
        &self,
        account: AccountId,
        sequence: u64,
    ) -> Result<Option<(Hash, Link)>, Fault> {
        let key = Key::Span(account, Span::first_of(sequence));
        for consistent in [false, true] {
            let full = self.get(&key, consistent, "read a part of a chain").await?;
            if let Some(full) = full {
                return Ok(full_span(&full).and_then(|span| span.link(sequence)));
            }
            let mark = self.read_mark(account, consistent).await?;
            if let Some(found) = mark.tip.as_ref().and_then(|tip| tip.open.link(sequence)) {
                return Ok(Some(found));
            }
            if mark.chained() < sequence {
                return Ok(None);
            }
            // It has become a part of its own in between.
        }
        Ok(None)
    }

    /// The numbers between two places; a time after all rows is the place of the one that is `coming`. Or where to
    /// continue to look for them.
    async fn numbers(
        &self,
        account: AccountId,
        wanted: ExcerptCursor,
        (coming, now): (u64, DateTime<Utc>),
    ) -> Result<Result<(u64, u64), ExcerptCursor>, Fault> {
        let next = match wanted.next {
            Place::Number(number) => number.max(1),
            Place::Time(at) => match self.number_since(account, at, now).await? {
                Since::Number(number) => number,
                Since::NoRow => coming,
                Since::NotBefore(later) => {
                    return Ok(Err(ExcerptCursor { next: Place::Time(later), ..wanted }));
                }
            },
        };
        let last = match wanted.last {
            Place::Number(number) => number,
            Place::Time(at) => match self.number_since(account, at, now).await? {
                Since::Number(number) => number.saturating_sub(1),
                Since::NoRow => u64::MAX,
                Since::NotBefore(later) => {
                    let next = Place::Number(next);
                    return Ok(Err(ExcerptCursor { next, last: Place::Time(later) }));
                }
            },
        };
        Ok(Ok((next, last)))
    }

    /// The chain from one number to another, part by part, as far as it is there.
    async fn parts(
        &self,
        account: AccountId,
        (from, to): (u64, u64),
        mark: &Mark,
    ) -> Result<Vec<Span>, Fault> {
        let text = |text: String| AttributeValue::S(text);
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let answer = query
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":pk", text(chain_partition(account)))
            .expression_attribute_values(":from", text(format!("{:016}", Span::first_of(from))))
            .expression_attribute_values(":to", text(format!("{to:016}")))
            .send()
            .await
            .map_err(|error| Fault::unavailable("read a chain")(error.into()))?;
        let full: Vec<_> = answer.items.unwrap_or_default().iter().filter_map(full_span).collect();
        let open = mark.tip.as_ref().map(|tip| tip.open.clone());
        let open = open.filter(|open| full.iter().all(|full| full.first < open.first));
        let parts = full.into_iter().chain(open);
        Ok(parts.filter_map(|part| part.within(from, to)).collect())
    }

    /// The days that ended with one of these rows.
    async fn checkpoints(
        &self,
        account: AccountId,
        links: &BTreeMap<u64, Link>,
    ) -> Result<Vec<Checkpoint>, Fault> {
        let days = || links.values().map(|link| link.id.time().date_naive());
        let (Some(first), Some(last)) = (days().min(), days().max()) else { return Ok(vec![]) };
        let text = |text: String| AttributeValue::S(text);
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let answer = query
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(checkpoint_partition(account)))
            .expression_attribute_values(":first", text(first.to_string()))
            .expression_attribute_values(":last", text(last.to_string()))
            .send()
            .await
            .map_err(|error| Fault::unavailable("read checkpoints")(error.into()))?;
        let known = answer.items.unwrap_or_default();
        let known = known.iter().filter_map(checkpoint);
        Ok(known.filter(|known| links.contains_key(&known.sequence)).collect())
    }

    /// Rows that lie among others and that the chain does not have: copies, and what was moved.
    async fn strays(
        &self,
        account: AccountId,
        links: &BTreeMap<u64, Link>,
        rows: &BTreeMap<(Period, String), RawRow>,
    ) -> Result<Vec<Finding>, Fault> {
        let known: BTreeSet<_> = links.values().map(|link| place_of(link.id)).collect();
        let mut strays = Vec::new();
        for row in rows.values().filter(|row| !known.contains(&row.place)) {
            let sequence = row.number();
            let is_in_place = match sequence {
                // Its number is another row's here.
                Some(number) if links.contains_key(&number) => false,
                Some(number) => match self.link(account, number).await? {
                    Some((_, link)) => Some(link.id) == row.id(),
                    // Not chained yet: a row that landed together with these. Or its part of the chain is
                    // missing, which is told by itself.
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

/// Holds rows against their parts of the chain.
fn check(
    account: AccountId,
    parts: &[Span],
    (from, to): (u64, u64),
    rows: &BTreeMap<(Period, String), RawRow>,
) -> Vec<Finding> {
    let before = parts.first().filter(|part| part.first == from).map(|part| part.before);
    let mut chain = ChainCheck::from(from, before.unwrap_or(Hash::genesis(account)));
    for part in parts {
        chain.begin(part);
        for link in &part.links {
            let row = rows.get(&place_of(link.id));
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

/// Whether a finding is about these rows. The hash before the first counts, for callers link on from it, and
/// so does a gap that may go on.
fn belongs(found: &Finding, (from, to): (u64, u64)) -> bool {
    let reaches = [Problem::HashAltered, Problem::SpanMissing].contains(&found.problem);
    reaches && found.sequence == from.checked_sub(1)
        || found.sequence.is_some_and(|number| (from..=to).contains(&number))
}

fn told(sequence: u64, link: Link, rows: &BTreeMap<(Period, String), RawRow>) -> ExcerptRow {
    let row = rows.get(&place_of(link.id));
    let receipt = row.and_then(|row| decode::<RowItem>("a transaction", row.item.clone()).ok());
    let receipt = receipt.map(RowItem::receipt);
    ExcerptRow { sequence, link, text: row.map(RawRow::text), receipt }
}
