//! The items of a chain: full spans, and the checkpoints of its days. They are written once and never change.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::NaiveDate;
use futures_util::future::FutureExt;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::table::attribute::{number, number_of, sort_key};
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem};
use crate::table::ledger::Ledger;
use domain::{AccountId, Checkpoint, EntryId, Growth, Hash, Link, Span};

/// The attributes of a full span's item.
const SPAN_ATTRIBUTES: [&str; 5] = ["pk", "sk", "prev", "ids", "hashes"];

/// How many items of a chain are written at the same time.
const ITEMS_AT_ONCE: usize = 32;

/// A full span, from its own item; `None` when the item is not exactly as this code writes it.
pub(crate) fn full_span(item: &StoredItem) -> Option<Span> {
    let first = first_of(item)?;
    let is_ours = item.keys().all(|name| SPAN_ATTRIBUTES.contains(&name.as_str()));
    let span = read_span(first, item)?;
    (is_ours && first == Span::first_of(first) && span.links.len() == Span::ROWS).then_some(span)
}

/// The number of a span's first row, which its item is sorted by.
pub(crate) fn first_of(item: &StoredItem) -> Option<u64> {
    sort_key(item)?.parse().ok()
}

pub(crate) fn read_span(first: u64, item: &StoredItem) -> Option<Span> {
    let bytes = |name: &str| match item.get(name) {
        Some(AttributeValue::B(bytes)) => Some(bytes.as_ref()),
        None => Some([].as_slice()),
        Some(_) => None,
    };
    let before = Hash::from_bytes(bytes("prev")?)?;
    let (ids, hashes) = (bytes("ids")?, bytes("hashes")?);
    let (ids, rest) = ids.as_chunks::<{ EntryId::BYTES }>();
    let (hashes, rests) = hashes.as_chunks::<{ Hash::BYTES }>();
    let links = ids
        .iter()
        .zip(hashes)
        .map(|(id, hash)| Some(Link { id: EntryId::from_bytes(*id), hash: Hash::from_bytes(hash)? }));
    let links = links.collect::<Option<Vec<_>>>()?;
    (rest.is_empty() && rests.is_empty() && ids.len() == hashes.len()).then_some(Span {
        first,
        before,
        links,
    })
}

pub(crate) fn write_span(span: &Span, item: &mut StoredItem) {
    let bytes = |bytes: Vec<u8>| AttributeValue::B(Blob::new(bytes));
    item.insert("prev".to_owned(), bytes(span.before.bytes().to_vec()));
    if !span.links.is_empty() {
        let ids = span.links.iter().flat_map(|link| link.id.bytes()).collect();
        let hashes = span.links.iter().flat_map(|link| link.hash.bytes().to_vec()).collect();
        item.insert("ids".to_owned(), bytes(ids));
        item.insert("hashes".to_owned(), bytes(hashes));
    }
}

/// Reads a day in its one spelling, `2024-01-15`.
pub(crate) fn date(text: &str) -> Option<NaiveDate> {
    text.parse().ok().filter(|date: &NaiveDate| date.to_string() == text)
}

/// The checkpoint of a day, from its item; `None` when it is unreadable.
pub(crate) fn checkpoint(item: &StoredItem) -> Option<Checkpoint> {
    let date = date(sort_key(item)?)?;
    let hash = match item.get("hash") {
        Some(AttributeValue::B(bytes)) => Hash::from_bytes(bytes.as_ref())?,
        Some(_) | None => return None,
    };
    Some(Checkpoint { date, sequence: number_of(item, "seq")?, hash })
}

/// The items that a chain has grown by.
pub(crate) fn growth_items(account: AccountId, growth: &Growth) -> Vec<StoredItem> {
    let checkpoints = growth.checkpoints.iter().map(|checkpoint| {
        let mut item = Key::Checkpoint(account, checkpoint.date).attributes();
        item.insert("seq".to_owned(), number(checkpoint.sequence));
        item.insert("hash".to_owned(), AttributeValue::B(Blob::new(checkpoint.hash.bytes())));
        item
    });
    let spans = growth.spans.iter().map(|span| {
        let mut item = Key::Span(account, span.first).attributes();
        write_span(span, &mut item);
        item
    });
    checkpoints.chain(spans).collect()
}

impl Ledger {
    /// Writes the new items of a chain before its tip counts them. After a crash in between, another process writes the
    /// same items again.
    pub(crate) async fn keep(&self, account: AccountId, growth: &Growth) -> Result<(), Fault> {
        for Checkpoint { date, sequence, hash } in &growth.checkpoints {
            // The log is another system: it stays a witness if the table is changed by hand. Log before the write,
            // because an existing checkpoint is not logged again.
            tracing::info!(%account, day = %date, sequence, %hash, "checkpoint");
        }
        let items = growth_items(account, growth).into_iter();
        let kept: Vec<_> = items.map(|item| self.keep_one(account, item).boxed()).collect();
        stream::iter(kept).buffer_unordered(ITEMS_AT_ONCE).try_collect().await
    }

    /// Writes an item that never changes. An existing one stays, even if it differs.
    pub(crate) async fn keep_one(&self, account: AccountId, item: StoredItem) -> Result<(), Fault> {
        let known = self.table.put_new(item.clone(), "write an item of a chain").await?;
        if known.is_some_and(|known| known != item) {
            tracing::error!(%account, place = ?item.get("sk"), "an item of the chain or of the records' index differs; audit the account");
        }
        Ok(())
    }
}
