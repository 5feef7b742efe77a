//! The watermark of an account: through which number every row is known to exist, through which number events are
//! emitted, and the end of the chain.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::chain::items::{date, read_span, write_span};
use crate::table::attribute::{number, number_of};
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem};
use crate::table::ledger::Ledger;
use crate::table::requests::ConditionalPut;
use domain::{AccountId, Hash, Span, Tip};

/// The attribute of the watermark.
const THROUGH: &str = "seq";

/// The attribute of the number through which events are emitted and usage is counted, where that is lower.
const NOTIFIED: &str = "told";

/// The attribute of the number of the last chained row.
const CHAINED: &str = "tip";

/// How far an account is projected. Rows and chain are one item, so that a debit costs one background write and not two.
#[derive(Clone, Debug, Default)]
pub struct Watermark {
    /// Every row through this number exists. Requests that resolve a lost answer wait for it, so it does not wait for
    /// the chain or for events.
    pub(crate) through: u64,
    /// Events of all entries through this number are emitted and their usage is counted. At most `through`.
    pub(crate) notified_through: u64,
    /// The end of the chain; `None` where nothing is chained, or the item is unreadable.
    pub(crate) tip: Option<Tip>,
    /// The stored number of the last chained row, even if the chain's end is unreadable. A write requires that it is
    /// unchanged.
    said: Option<AttributeValue>,
    exists: bool,
}

impl Watermark {
    pub(crate) fn read(account: AccountId, item: Option<StoredItem>) -> Self {
        let Some(item) = item else { return Self::default() };
        let through = number_of(&item, THROUGH).unwrap_or(0);
        let notified_through = number_of(&item, NOTIFIED).unwrap_or(through).min(through);
        let said = item.get(CHAINED).cloned();
        let tip = tip(account, &item);
        Self { through, notified_through, tip, said, exists: true }
    }

    /// The watermark after it is written.
    pub(crate) fn written(through: u64, notified_through: u64, tip: Tip) -> Self {
        let said = Some(number(tip.sequence()));
        Self { through, notified_through, tip: Some(tip), said, exists: true }
    }

    /// The number through which every row of the account is known to exist.
    #[must_use]
    pub fn through(&self) -> u64 {
        self.through
    }

    /// The number through which events are emitted and usage is counted.
    #[must_use]
    pub fn notified_through(&self) -> u64 {
        self.notified_through
    }

    /// Whether the item has an unreadable chain end: it was changed by hand.
    pub(crate) fn is_broken(&self) -> bool {
        self.tip.is_none() && self.said.is_some()
    }

    /// The number of the last chained row.
    pub(crate) fn chained(&self) -> u64 {
        self.tip.as_ref().map_or(0, Tip::sequence)
    }

    fn item(&self, account: AccountId) -> StoredItem {
        let mut item = Key::Watermark(account).attributes();
        item.insert(THROUGH.to_owned(), number(self.through));
        if self.notified_through < self.through {
            item.insert(NOTIFIED.to_owned(), number(self.notified_through));
        }
        if let Some(tip) = &self.tip {
            item.insert(CHAINED.to_owned(), number(tip.sequence()));
            if let Some(day) = tip.day {
                item.insert("day".to_owned(), AttributeValue::S(day.to_string()));
            }
            write_span(&tip.open, &mut item);
        }
        item
    }

    /// The condition that the stored watermark is still this one.
    fn unchanged(&self) -> Condition {
        if !self.exists {
            return Condition::absent();
        }
        let condition = match &self.said {
            None => Condition::new("#through = :through AND attribute_not_exists(#chained)"),
            Some(said) => {
                Condition::new("#through = :through AND #chained = :chained").value(":chained", said.clone())
            }
        };
        condition.name("#through", THROUGH).name("#chained", CHAINED).value(":through", number(self.through))
    }
}

/// The end of a chain; `None` when the item has none that is readable.
fn tip(account: AccountId, item: &StoredItem) -> Option<Tip> {
    let sequence = number_of(item, CHAINED)?;
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

impl Ledger {
    /// The number through which every row of an account is known to exist.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn watermark(&self, account: AccountId) -> Result<u64, Fault> {
        Ok(self.read_watermark(account, true).await?.through)
    }

    /// The watermark of an account, for a caller that has its rows from number `first` on. Entries between the two were
    /// lost from the stream; [`Ledger::entries_without_events`] finds them, and they come first.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn watermark_for(&self, account: AccountId, first: u64) -> Result<Watermark, Fault> {
        let watermark = self.read_watermark(account, false).await?;
        if first <= watermark.notified_through.min(watermark.chained()).saturating_add(1) {
            return Ok(watermark);
        }
        // An eventually consistent read may be behind.
        self.read_watermark(account, true).await
    }

    pub(crate) async fn read_watermark(
        &self,
        account: AccountId,
        consistent: bool,
    ) -> Result<Watermark, Fault> {
        let item = self.table.read(&Key::Watermark(account), consistent, "read a watermark").await?;
        Ok(Watermark::read(account, item))
    }

    /// Replaces `watermark` by `next`; returns the stored watermark when another process has replaced it first.
    pub(crate) async fn move_watermark(
        &self,
        account: AccountId,
        watermark: &Watermark,
        next: &Watermark,
    ) -> Result<Option<Watermark>, Fault> {
        let item = next.item(account);
        Ok(match self.table.put_or_existing(item, watermark.unchanged(), "move a watermark").await? {
            ConditionalPut::Written => None,
            ConditionalPut::Existing(item) => Some(Watermark::read(account, item)),
        })
    }
}
