use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use chrono::NaiveDate;

use super::key::{Item, Key};
use super::{Fault, Ledger};
use domain::{AccountId, Checkpoint, EntryId, Growth, Hash, Link, Span, Tip};

/// The attribute of the watermark.
const THROUGH: &str = "seq";

/// The attribute that says through which number owners were told and usage counted, where that is less.
const FOLLOWED: &str = "told";

/// The attribute that says through which row the chain goes.
const CHAINED: &str = "tip";

/// What an item with a span has, besides its key and the hash before it.
const SPAN_ATTRIBUTES: [&str; 5] = ["pk", "sk", "prev", "ids", "hashes"];

/// How far an account's rows are known to exist, and how far they are chained: one item, so that a debit
/// costs one write in the background and not two.
#[derive(Clone, Debug, Default)]
pub struct Mark {
    /// Every row through this number exists. Others wait for it, so it never waits for the chain.
    pub(super) through: u64,
    /// Through which number owners were told what follows from the changes, and usage was counted; not above
    /// `through`, which others wait for and which does not wait for that.
    pub(super) followed: u64,
    /// The end of the chain; none where nothing is chained, or the item does not read.
    pub(super) tip: Option<Tip>,
    /// What the item says of it, as it says it; a move is made only from there.
    said: Option<AttributeValue>,
    exists: bool,
}

impl Mark {
    pub(super) fn read(account: AccountId, item: Option<Item>) -> Self {
        let Some(item) = item else { return Self::default() };
        let through = number(&item, THROUGH).unwrap_or(0);
        let followed = number(&item, FOLLOWED).unwrap_or(through).min(through);
        let said = item.get(CHAINED).cloned();
        let tip = tip(account, &item);
        Self { through, followed, tip, said, exists: true }
    }

    /// As it is once it is written.
    pub(super) fn at((through, followed): (u64, u64), tip: Tip) -> Self {
        let said = Some(AttributeValue::N(tip.sequence().to_string()));
        Self { through, followed, tip: Some(tip), said, exists: true }
    }

    /// The number through which every row of the account is known to exist.
    #[must_use]
    pub fn through(&self) -> u64 {
        self.through
    }

    /// The number through which its owner was told what follows from its changes, and its usage was counted.
    #[must_use]
    pub fn followed(&self) -> u64 {
        self.followed
    }

    /// Whether there is an end of a chain that does not read: somebody has changed it.
    pub(super) fn is_broken(&self) -> bool {
        self.tip.is_none() && self.said.is_some()
    }

    /// The number of the last row that is chained.
    pub(super) fn chained(&self) -> u64 {
        self.tip.as_ref().map_or(0, Tip::sequence)
    }

    fn item(&self, account: AccountId) -> Item {
        let mut item = Key::Watermark(account).attributes();
        item.insert(THROUGH.to_owned(), AttributeValue::N(self.through.to_string()));
        if self.followed < self.through {
            item.insert(FOLLOWED.to_owned(), AttributeValue::N(self.followed.to_string()));
        }
        if let Some(tip) = &self.tip {
            item.insert(CHAINED.to_owned(), AttributeValue::N(tip.sequence().to_string()));
            if let Some(day) = tip.day {
                item.insert("day".to_owned(), AttributeValue::S(day.to_string()));
            }
            write_span(&tip.open, &mut item);
        }
        item
    }
}

/// The end of a chain; `None` when the item has none that reads.
fn tip(account: AccountId, item: &Item) -> Option<Tip> {
    let sequence = number(item, CHAINED)?;
    let first = Span::first_of(sequence.checked_add(1)?);
    let open = read_span(first, item)?;
    let day = match item.get("day") {
        Some(AttributeValue::S(text)) => Some(date(text)?),
        Some(_) => return None,
        None => None,
    };
    let begins_well = first > 1 || open.before == Hash::genesis(account);
    let tip = Tip { open, day };
    (tip.sequence() == sequence && tip.day.is_some() == (sequence > 0) && begins_well).then_some(tip)
}

/// A span as its own item has it; `None` when it does not read: nothing but what we write.
pub(super) fn full_span(item: &Item) -> Option<Span> {
    let first = place(item)?;
    let is_ours = item.keys().all(|name| SPAN_ATTRIBUTES.contains(&name.as_str()));
    let span = read_span(first, item)?;
    (is_ours && first == Span::first_of(first) && span.links.len() == Span::ROWS).then_some(span)
}

/// The number that an item is sorted by.
pub(super) fn place(item: &Item) -> Option<u64> {
    match item.get("sk") {
        Some(AttributeValue::S(digits)) => digits.parse().ok(),
        Some(_) | None => None,
    }
}

fn read_span(first: u64, item: &Item) -> Option<Span> {
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

fn write_span(span: &Span, item: &mut Item) {
    let bytes = |bytes: Vec<u8>| AttributeValue::B(Blob::new(bytes));
    item.insert("prev".to_owned(), bytes(span.before.bytes().to_vec()));
    if !span.links.is_empty() {
        let ids = span.links.iter().flat_map(|link| link.id.bytes()).collect();
        let hashes = span.links.iter().flat_map(|link| link.hash.bytes().to_vec()).collect();
        item.insert("ids".to_owned(), bytes(ids));
        item.insert("hashes".to_owned(), bytes(hashes));
    }
}

pub(super) fn number(item: &Item, name: &str) -> Option<u64> {
    match item.get(name) {
        Some(AttributeValue::N(digits)) => digits.parse().ok(),
        Some(_) | None => None,
    }
}

/// A day in its one spelling, `2024-01-15`.
fn date(text: &str) -> Option<NaiveDate> {
    text.parse().ok().filter(|date: &NaiveDate| date.to_string() == text)
}

/// A day's end as its item has it; `None` when it does not read.
pub(super) fn checkpoint(item: &Item) -> Option<Checkpoint> {
    let date = match item.get("sk") {
        Some(AttributeValue::S(text)) => date(text)?,
        Some(_) | None => return None,
    };
    let hash = match item.get("hash") {
        Some(AttributeValue::B(bytes)) => Hash::from_bytes(bytes.as_ref())?,
        Some(_) | None => return None,
    };
    Some(Checkpoint { date, sequence: number(item, "seq")?, hash })
}

impl Ledger {
    pub(super) async fn read_mark(&self, account: AccountId, consistent: bool) -> Result<Mark, Fault> {
        let item = self.get(&Key::Watermark(account), consistent, "read a watermark").await?;
        Ok(Mark::read(account, item))
    }

    /// Keeps what a chain has grown by, before its tip says so: whoever dies in between does it again, and
    /// writes the same.
    pub(super) async fn keep(&self, account: AccountId, growth: &Growth) -> Result<(), Fault> {
        for checkpoint in &growth.checkpoints {
            let Checkpoint { date, sequence, hash } = checkpoint;
            // The log is another system: whoever changes the table leaves this witness. Told first, for a
            // checkpoint that exists is not told again.
            tracing::info!(%account, day = %date, sequence, %hash, "checkpoint");
            let mut item = Key::Checkpoint(account, *date).attributes();
            item.insert("seq".to_owned(), AttributeValue::N(sequence.to_string()));
            item.insert("hash".to_owned(), AttributeValue::B(Blob::new(hash.bytes())));
            self.keep_one(account, item, "keep a checkpoint").await?;
        }
        for span in &growth.spans {
            let mut item = Key::Span(account, span.first).attributes();
            write_span(span, &mut item);
            self.keep_one(account, item, "keep a part of a chain").await?;
        }
        Ok(())
    }

    /// Writes what never changes; one that exists stays, be it that somebody has changed it.
    async fn keep_one(&self, account: AccountId, item: Item, doing: &'static str) -> Result<(), Fault> {
        let known = self.put_new(item.clone(), doing).await?;
        if known.is_some_and(|known| known != item) {
            tracing::error!(%account, place = ?item.get("sk"), "the chain has an item that differs; audit the account");
        }
        Ok(())
    }

    /// Moves a mark from where it was seen; where it is otherwise, says where.
    pub(super) async fn move_mark(
        &self,
        account: AccountId,
        seen: &Mark,
        next: &Mark,
    ) -> Result<Option<Mark>, Fault> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(next.item(account)));
        let put = match (seen.exists, &seen.said) {
            (false, _) => put.condition_expression("attribute_not_exists(pk)"),
            (true, None) => {
                put.condition_expression("#through = :through AND attribute_not_exists(#chained)")
            }
            (true, Some(said)) => put
                .condition_expression("#through = :through AND #chained = :chained")
                .expression_attribute_values(":chained", said.clone()),
        };
        let put = if seen.exists {
            put.expression_attribute_names("#through", THROUGH)
                .expression_attribute_names("#chained", CHAINED)
                .expression_attribute_values(":through", AttributeValue::N(seen.through.to_string()))
        } else {
            put
        };
        let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else { return Ok(None) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(lost)) => {
                Ok(Some(Mark::read(account, lost.item.clone())))
            }
            Some(_) | None => Err(Fault::unavailable("move a watermark")(error.into())),
        }
    }
}
