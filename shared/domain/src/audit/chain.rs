//! The hash chain of an account's rows: links, spans, checkpoints.

use std::fmt;

use chrono::NaiveDate;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::{AccountId, EntryId, RecordBlock, RecordKind};

/// A hash in an account's chain: SHA-256, 32 bytes, written as 64 hexadecimal digits.
///
/// Each row's hash is computed from the previous hash and the row's text, so the last hash verifies all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

/// A row's link in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The row's id.
    pub id: EntryId,
    /// The chain's hash including the row.
    pub hash: Hash,
}

/// A span: links of consecutive rows, stored in one item. Spans begin at fixed numbers, however many rows are
/// chained at once, so that all processes write the same spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The number of its first row: 1, 17, 33, …
    pub first: u64,
    /// The hash before its first row.
    pub before: Hash,
    /// Its rows, by ascending number; at most [`Span::ROWS`].
    pub links: Vec<Link>,
}

/// The end of an account's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The span that is not full yet.
    pub open: Span,
    /// The latest day (UTC) of any row so far, by the ids' time; `None` before the first row.
    pub day: Option<NaiveDate>,
    /// What the last rows are as records: those of the block that is not full yet, or fewer where the earlier ones are
    /// not known.
    pub kinds: Vec<RecordKind>,
}

/// A block of records that became full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullBlock {
    /// Its number.
    pub number: u64,
    /// What its last rows are: all of them, or fewer where the earlier ones are not known.
    pub kinds: Vec<RecordKind>,
}

/// A checkpoint: the chain at the end of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The day (UTC).
    pub date: NaiveDate,
    /// The number of its last row.
    pub sequence: u64,
    /// The chain's hash including that row.
    pub hash: Hash,
}

/// The spans and checkpoints to store after rows were chained, besides the tip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Spans that became full.
    pub spans: Vec<Span>,
    /// Checkpoints of days that ended.
    pub checkpoints: Vec<Checkpoint>,
    /// Blocks of records that became full.
    pub blocks: Vec<FullBlock>,
}

/// A row for the chain: its text is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowText {
    /// The row's id.
    pub id: EntryId,
    /// All its stored attributes, in canonical form.
    pub text: String,
    /// What the row is as a record; it is not hashed.
    pub kind: RecordKind,
}

impl Hash {
    /// Its length in bytes.
    pub const BYTES: usize = 32;

    /// The hash before an account's first row. It is computed from the account's id, so that a chain cannot be
    /// passed off as another account's.
    #[must_use]
    pub fn genesis(account: AccountId) -> Self {
        Self(Sha256::digest(format!("scrip ledger of {account}")).into())
    }

    /// The hash of the chain with one more row: SHA-256 of these 32 bytes and the row's text.
    #[must_use]
    pub fn link(self, text: &str) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(text).finalize().into())
    }

    /// A hash from its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Span {
    /// The number of rows of a full span. Their ids and hashes, with the item's key, stay below 1 KB: one write
    /// unit, also together with the watermark.
    pub const ROWS: usize = 16;

    /// The first number of a row's span.
    #[must_use]
    pub fn first_of(sequence: u64) -> u64 {
        let rows = u64::try_from(Self::ROWS).unwrap_or(u64::MAX);
        let past = sequence.saturating_sub(1).checked_rem(rows).unwrap_or(0);
        sequence.saturating_sub(past).max(1)
    }

    /// The number of the row after its last.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.first.saturating_add(u64::try_from(self.links.len()).unwrap_or(u64::MAX))
    }

    /// The hash including its last row.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.links.last().map_or(self.before, |last| last.hash)
    }

    /// The hash before a row, and the row's link.
    #[must_use]
    pub fn link(&self, sequence: u64) -> Option<(Hash, Link)> {
        let place = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        let link = *self.links.get(place)?;
        let before = match place.checked_sub(1) {
            Some(place) => self.links.get(place)?.hash,
            None => self.before,
        };
        Some((before, link))
    }

    /// Whether `full` is the same span with the same or more rows.
    #[must_use]
    pub fn begins(&self, full: &Self) -> bool {
        (self.first, self.before) == (full.first, full.before) && full.links.starts_with(&self.links)
    }

    /// The part of it within `from..=to`; `None` when there is none.
    #[must_use]
    pub fn within(&self, from: u64, to: u64) -> Option<Self> {
        let first = from.max(self.first);
        let (before, _) = self.link(first)?;
        let links = self.numbered().filter(|(number, _)| (first..=to).contains(number));
        let links: Vec<_> = links.map(|(_, link)| link).collect();
        (!links.is_empty()).then_some(Self { first, before, links })
    }

    /// Its links with the rows' numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, Link)> {
        (self.first..).zip(self.links.iter().copied())
    }
}

impl Tip {
    /// The tip of an account without rows.
    #[must_use]
    pub fn genesis(account: AccountId) -> Self {
        Self {
            open: Span { first: 1, before: Hash::genesis(account), links: vec![] },
            day: None,
            kinds: vec![],
        }
    }

    /// The number of the last row; 0 before the first.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.open.next().saturating_sub(1)
    }

    /// The hash including the last row.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.open.hash()
    }

    /// Adds the row with the next number.
    pub fn add(&mut self, row: &RowText, growth: &mut Growth) {
        let (sequence, hash) = (self.sequence(), self.hash());
        growth.checkpoints.extend(closes(&mut self.day, row.id, sequence, hash));
        self.open.links.push(Link { id: row.id, hash: hash.link(&row.text) });
        if self.open.links.len() >= Span::ROWS {
            let open = Span { first: self.open.next(), before: self.open.hash(), links: vec![] };
            growth.spans.push(std::mem::replace(&mut self.open, open));
        }
        self.kinds.push(row.kind);
        let (rows, full) = (self.sequence(), RecordBlock::full(self.sequence()));
        if let Some(number) = full.checked_sub(1).filter(|number| RecordBlock::last_of(*number) == rows) {
            growth.blocks.push(FullBlock { number, kinds: std::mem::take(&mut self.kinds) });
        }
    }
}

/// The checkpoint of the day that ends with the row `id`, if it is the first row of a later day; `sequence` and
/// `hash` are those before it. Ids rise with numbers except for concurrent requests, so the latest day counts.
pub(crate) fn closes(
    day: &mut Option<NaiveDate>,
    id: EntryId,
    sequence: u64,
    hash: Hash,
) -> Option<Checkpoint> {
    let today = id.time().date_naive();
    let over = day.filter(|day| *day < today);
    *day = (*day).max(Some(today));
    over.map(|date| Checkpoint { date, sequence, hash })
}

impl fmt::Display for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(mode: &str) -> AccountId {
        format!("org_01HKZNPZB0YQ3T5N1C8V6W2X4G#{mode}").parse().unwrap()
    }

    fn row(at: &str, number: u128) -> RowText {
        RowText {
            id: EntryId::new(at.parse().unwrap(), number),
            text: format!(r#"{{"seq":{number}}}"#),
            kind: RecordKind::Usage,
        }
    }

    /// The expected values are those of `printf` and `sha256sum`, with which others can verify the chain.
    #[test]
    fn hashes_are_plain_sha_256() {
        let genesis = Hash::genesis(account("live"));
        assert_eq!(genesis.to_string(), "fe688976ed1ac756d46e8b9b6bee384f13e3cceff996760bbe88f2aebf74e711");
        assert_eq!(
            genesis.link(r#"{"seq":1}"#).to_string(),
            "3e66f3fbf1ad2703ac0a9624d8b0ee7426fb053c5b1efec78af7ee9799b7d508"
        );
        assert_ne!(Hash::genesis(account("test")), genesis);
        assert_eq!(Hash::from_bytes(genesis.bytes()), Some(genesis));
        assert_eq!(Hash::from_bytes(&[0; 31]), None);
    }

    #[test]
    fn spans_begin_at_fixed_numbers() {
        for (number, first) in
            [(0, 1), (1, 1), (2, 1), (16, 1), (17, 17), (32, 17), (33, 33), (u64::MAX, u64::MAX - 14)]
        {
            assert_eq!(Span::first_of(number), first, "{number}");
        }
    }

    #[test]
    fn a_chain_grows_by_full_spans_and_ended_days() {
        let mut tip = Tip::genesis(account("live"));
        let (mut growth, mut hash) = (Growth::default(), tip.hash());
        for number in 1..=40_u64 {
            // The tenth row is late: its id is of the day before.
            let at = match number {
                1..=5 | 10 => "2024-01-15T23:59:59Z",
                6..=30 => "2024-01-16T00:00:00Z",
                _ => "2024-01-31T12:00:00Z",
            };
            let row = row(at, number.into());
            hash = hash.link(&row.text);
            tip.add(&row, &mut growth);
            assert_eq!((tip.sequence(), tip.hash()), (number, hash));
        }
        let firsts: Vec<_> = growth.spans.iter().map(|span| (span.first, span.links.len())).collect();
        assert_eq!((firsts, tip.open.first), (vec![(1, 16), (17, 16)], 33));
        assert_eq!(growth.spans[1].before, growth.spans[0].hash());
        let days: Vec<_> =
            growth.checkpoints.iter().map(|day| (day.date.to_string(), day.sequence)).collect();
        assert_eq!(days, [("2024-01-15".to_owned(), 5), ("2024-01-16".to_owned(), 30)]);
        assert_eq!(growth.checkpoints[1].hash, growth.spans[1].link(30).unwrap().1.hash);
        assert_eq!(growth.spans[1].link(17).unwrap().0, growth.spans[0].hash());
        assert_eq!(growth.spans[1].link(33), None);
        assert_eq!((tip.kinds.len(), &growth.blocks), (40, &vec![]));
        for number in 41..=70_u64 {
            tip.add(&row("2024-01-31T12:00:00Z", number.into()), &mut growth);
        }
        let full = FullBlock { number: 0, kinds: vec![RecordKind::Usage; RecordBlock::ROWS] };
        assert_eq!((tip.kinds.len(), &growth.blocks), (6, &vec![full]));
        let part = growth.spans[1].within(20, 25).unwrap();
        assert_eq!(
            (part.first, part.next(), part.before),
            (20, 26, growth.spans[1].link(19).unwrap().1.hash)
        );
        assert_eq!(growth.spans[1].within(33, 40), None);
    }
}
