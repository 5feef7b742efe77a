//! The watermark of an account: through which number every row is known to exist, through which number events are
//! emitted, and the end of the chain.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::chain::items::{date, read_span, write_span};
use crate::chain::record_blocks::{open_rows, pack_kinds, unpack_kinds};
use crate::table::attribute::{number, number_of};
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem};
use crate::table::ledger::Ledger;
use crate::table::packed_rollup::{pack_pending, unpack_pending};
use crate::table::requests::ConditionalPut;
use tracing::error;

use domain::{AccountId, Hash, PendingRollup, Span, Tip};

/// The attribute of the watermark.
const THROUGH: &str = "seq";

/// The attribute of the number through which events are emitted and usage is counted, where that is lower.
const NOTIFIED: &str = "told";

/// The attribute of the number of the last chained row.
const CHAINED: &str = "tip";

/// The attribute of the item's revision.
const REVISION: &str = "rev";

/// The attribute of the alert state's revision.
const ALERTS: &str = "al";

/// The attribute of the sums that no rollup has yet.
const PENDING: &str = "use";

/// The attribute of what the rows are that no block of records has yet.
const KINDS: &str = "k";

/// How far an account is projected. Rows, usage and chain are one item, so that a debit costs one background write.
#[derive(Clone, Debug, Default)]
pub struct Watermark {
    /// Every row through this number exists. Requests that resolve a lost answer wait for it, so it does not wait for
    /// the chain or for events.
    pub(crate) through: u64,
    /// How far events are emitted and usage is counted; its number is at most `through`.
    pub(crate) notified: Notified,
    /// The end of the chain; `None` where nothing is chained, or the item is unreadable.
    pub(crate) tip: Option<Tip>,
    /// Whether the item has a chain's end that is unreadable: it was changed by hand.
    pub(crate) is_broken: bool,
    /// Incremented with every write, which requires that it is unchanged.
    revision: u64,
    exists: bool,
}

/// How far the owner of an account is notified of its transactions, and their usage is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notified {
    /// Events of all entries through this number are emitted and their usage is counted.
    pub through: u64,
    /// The revision of the alert state after them. An older alert state comes from a read that was behind.
    pub alerts: u64,
    /// Their sums that no rollup has yet.
    pub pending: Option<PendingRollup>,
}

impl Watermark {
    pub(crate) fn read(account: AccountId, item: Option<StoredItem>) -> Self {
        let Some(item) = item else { return Self::default() };
        let through = number_of(&item, THROUGH).unwrap_or(0);
        let notified = Notified {
            through: number_of(&item, NOTIFIED).unwrap_or(through).min(through),
            alerts: number_of(&item, ALERTS).unwrap_or(0),
            pending: pending(&item),
        };
        let tip = tip(account, &item);
        let is_broken = tip.is_none() && item.contains_key(CHAINED);
        let revision = number_of(&item, REVISION).unwrap_or(0);
        Self { through, notified, tip, is_broken, revision, exists: true }
    }

    /// The watermark that replaces this one.
    pub(crate) fn followed_by(&self, through: u64, notified: Notified, tip: Tip) -> Self {
        let revision = self.revision.saturating_add(1);
        Self { through, notified, tip: Some(tip), is_broken: false, revision, exists: true }
    }

    /// The same watermark with other sums that no rollup has yet.
    pub(crate) fn with_pending(&self, pending: Option<PendingRollup>) -> Self {
        let notified = Notified { pending, ..self.notified.clone() };
        Self { notified, revision: self.revision.saturating_add(1), ..self.clone() }
    }

    /// The number through which every row of the account is known to exist.
    #[must_use]
    pub fn through(&self) -> u64 {
        self.through
    }

    /// How far events are emitted and usage is counted.
    #[must_use]
    pub fn notified(&self) -> &Notified {
        &self.notified
    }

    /// The number through which events are emitted and usage is counted.
    #[must_use]
    pub fn notified_through(&self) -> u64 {
        self.notified.through
    }

    /// The number of the last chained row.
    #[must_use]
    pub fn chained(&self) -> u64 {
        self.tip.as_ref().map_or(0, Tip::sequence)
    }

    pub(crate) fn item(&self, account: AccountId) -> Result<StoredItem, Fault> {
        let mut item = Key::Watermark(account).attributes();
        item.insert(THROUGH.to_owned(), number(self.through));
        item.insert(REVISION.to_owned(), number(self.revision));
        if self.notified.through < self.through {
            item.insert(NOTIFIED.to_owned(), number(self.notified.through));
        }
        if self.notified.alerts > 0 {
            item.insert(ALERTS.to_owned(), number(self.notified.alerts));
        }
        if let Some(pending) = &self.notified.pending {
            item.insert(PENDING.to_owned(), pack_pending(pending)?);
        }
        if let Some(tip) = &self.tip {
            item.insert(CHAINED.to_owned(), number(tip.sequence()));
            if let Some(day) = tip.day {
                item.insert("day".to_owned(), AttributeValue::S(day.to_string()));
            }
            // The kinds of a block that were not known from its first row on are read from its rows once it is full.
            if !tip.kinds.is_empty() && tip.kinds.len() == open_rows(tip.sequence()) {
                item.insert(KINDS.to_owned(), pack_kinds(&tip.kinds));
            }
            write_span(&tip.open, &mut item);
        }
        Ok(item)
    }

    /// The condition that the stored watermark is still this one.
    fn unchanged(&self) -> Condition {
        match (self.exists, self.revision) {
            (false, _) => Condition::absent(),
            (true, 0) => Condition::new("attribute_not_exists(#rev)").name("#rev", REVISION),
            (true, revision) => Condition::at(REVISION, Some(revision)),
        }
    }
}

/// The sums that no rollup has yet; `None` where there are none, or they are unreadable.
fn pending(item: &StoredItem) -> Option<PendingRollup> {
    match item.get(PENDING) {
        Some(AttributeValue::B(bytes)) => {
            let pending = unpack_pending(bytes);
            if pending.is_none() {
                error!("a pending rollup is unreadable; usage lacks its transactions");
            }
            pending
        }
        Some(_) | None => None,
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
    let kinds =
        item.get(KINDS).and_then(|kinds| unpack_kinds(kinds, open_rows(sequence))).unwrap_or_default();
    let tip = Tip { open, day, kinds };
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

    /// The watermark for a caller that has rows from number `first` on: `known`, which may be behind, or the present one
    /// where that does not reach the rows. Entries between the two were lost from the stream; [`Ledger::missed_entries`]
    /// finds them, and they come first.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn watermark_for(
        &self,
        account: AccountId,
        first: u64,
        known: Watermark,
    ) -> Result<Watermark, Fault> {
        if first <= known.notified.through.min(known.chained()).saturating_add(1) {
            return Ok(known);
        }
        self.read_watermark(account, true).await
    }

    /// How far an account is projected.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn projected_through(&self, account: AccountId) -> Result<Watermark, Fault> {
        self.read_watermark(account, true).await
    }

    /// The same, as it was up to a second or so ago.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn last_watermark(&self, account: AccountId) -> Result<Watermark, Fault> {
        self.read_watermark(account, false).await
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
        let item = next.item(account)?;
        Ok(match self.table.put_or_existing(item, watermark.unchanged(), "move a watermark").await? {
            ConditionalPut::Written => None,
            ConditionalPut::Existing(item) => Some(Watermark::read(account, item)),
        })
    }
}
