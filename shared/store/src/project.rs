use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use tracing::{error, warn};

use super::chain::Mark;
use super::item::{RowItem, decode};
use super::key::{Item, Key};
use super::{Fault, Ledger, broken, canonical};
use domain::{Account, AccountId, Entry, EntryId, Growth, Receipt, RowText, Tip};

/// How often a mark may be moved by others meanwhile: two projectors at the same records are what there is.
const ATTEMPTS_MAX: u32 = 8;

/// Rows, by their numbers.
pub type Rows = BTreeMap<u64, RowText>;

/// Entries that the stream showed and whose rows are known to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projected {
    /// The rows, as the table has them.
    pub rows: Rows,
    /// The same, as transactions.
    pub receipts: Vec<Receipt>,
    /// Where the last of them lies in time.
    pub time: DateTime<Utc>,
}

/// An item as the stream shows it, from whichever client read it.
pub type Image = serde_dynamo::Item;

/// Reads an account from an image of the stream; `None` for an item of another kind.
///
/// # Errors
/// [`Fault::BrokenAccount`] when it says it is an account and does not read as one.
pub fn account_image(image: Image) -> Result<Option<Account>, Fault> {
    let image = Item::from(image);
    let Some(AttributeValue::S(pk)) = image.get("pk") else { return Ok(None) };
    let Some(name) = pk.strip_prefix("ACCT#") else { return Ok(None) };
    let id = name.parse().map_err(|_| Fault::corrupt("an account", "its key"))?;
    broken::read(id, image).map(Some)
}

/// The account that an image of the stream is of, if it is an account's own item.
#[must_use]
pub fn account_of(image: &Image) -> Option<AccountId> {
    let image = Item::from(image.clone());
    let Some(AttributeValue::S(pk)) = image.get("pk") else { return None };
    pk.strip_prefix("ACCT#")?.parse().ok()
}

impl Ledger {
    /// Makes sure that the row of the account's last entry exists, whatever crashed. `None` when the
    /// account was just opened and has no entry.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn complete(&self, account: &Account) -> Result<Option<Projected>, Fault> {
        let Some(last) = &account.last else { return Ok(None) };
        let count = usize::try_from(last.rows()).unwrap_or(usize::MAX);
        let mut rows = self.rows_of_entry(account.id, last, false).await?;
        if rows.len() != count {
            rows = self.completed(account, last).await?;
        }
        if rows.len() != count {
            return Err(Fault::corrupt("a transaction", "it is gone as soon as it was recorded"));
        }
        let first = account.sequence.saturating_sub(last.rows()).saturating_add(1);
        let (texts, receipts): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let rows = (first..).zip(texts).collect();
        let receipts = receipts.into_iter().flatten().collect();
        Ok(Some(Projected { rows, receipts, time: account.floor().time() }))
    }

    /// Writes the rows that are missing. What counts is how the table then has them: somebody else may have
    /// been first.
    async fn completed(
        &self,
        account: &Account,
        entry: &Entry,
    ) -> Result<Vec<(RowText, Option<Receipt>)>, Fault> {
        let details = self.details(account.id, entry).await?;
        for receipt in account.receipts(details) {
            self.record(account.id, &receipt).await?;
        }
        self.rows_of_entry(account.id, entry, true).await
    }

    /// The rows of an entry, as the table has them, as far as they are there.
    async fn rows_of_entry(
        &self,
        account: AccountId,
        entry: &Entry,
        consistent: bool,
    ) -> Result<Vec<(RowText, Option<Receipt>)>, Fault> {
        if entry.rows() == 1 {
            let item = self.get(&Key::Row(account, entry.id), consistent, "look for a row").await?;
            return Ok(item.map(|item| row(entry.id, item)).into_iter().collect());
        }
        let items = self.items_between(account, (entry.id, entry.last_id()), consistent).await?;
        let ids = (0..).map(|place| entry.id.after(place));
        Ok(ids.zip(items).map(|(id, item)| row(id, item)).collect())
    }

    /// The sequence through which every row of an account is known to exist.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn watermark(&self, account: AccountId) -> Result<u64, Fault> {
        Ok(self.read_mark(account, true).await?.through)
    }

    /// How far an account is followed, for whoever has its rows from `first` on. What [`Ledger::missed`] finds before
    /// them comes first.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn followed(&self, account: AccountId, first: u64) -> Result<Mark, Fault> {
        let seen = self.read_mark(account, false).await?;
        if first <= seen.followed.min(seen.chained()).saturating_add(1) {
            return Ok(seen);
        }
        // It may be further than a read that is not consistent says.
        self.read_mark(account, true).await
    }

    /// Moves the watermark to the number `through`, says that the account was followed through `followed`, and chains
    /// the rows; where it is then. All rows after `seen` and through `through` exist; those in `rows` are as the table
    /// has them, others are read. `now` is no earlier than the last of them.
    ///
    /// Done twice, late, by two at once or in other pieces, the chain is the same to the byte: it hangs on
    /// the rows alone.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn mark(
        &self,
        account: AccountId,
        (mut seen, through, followed): (Mark, u64, u64),
        rows: &Rows,
        now: DateTime<Utc>,
    ) -> Result<Mark, Fault> {
        for _ in 0..ATTEMPTS_MAX {
            let (through, followed) = (through.max(seen.through), followed.max(seen.followed));
            let tip = self.chain(account, (&seen, through), rows, now).await?;
            let is_there = through == seen.through && followed == seen.followed;
            if is_there && seen.tip.as_ref() == Some(&tip) {
                return Ok(seen);
            }
            let next = Mark::at((through, followed), tip);
            match self.move_mark(account, &seen, &next).await? {
                None => return Ok(next),
                Some(moved) => seen = moved,
            }
        }
        Err(Fault::Busy)
    }

    /// The chain of an account with the rows that follow its end, up to `through`; what it grows by is kept.
    /// Rows that are not in hand are read: records were lost, or the table is older than its chain.
    async fn chain(
        &self,
        account: AccountId,
        (seen, through): (&Mark, u64),
        rows: &Rows,
        now: DateTime<Utc>,
    ) -> Result<Tip, Fault> {
        if seen.is_broken() {
            error!(%account, "the end of the chain does not read; it is made again from its beginning");
        }
        let mut tip = seen.tip.clone().unwrap_or_else(|| Tip::genesis(account));
        let mut growth = Growth::default();
        extend(&mut tip, rows, &mut growth);
        if tip.sequence() < through {
            let found = self.rows_following(account, &tip, now).await?;
            extend(&mut tip, &found, &mut growth);
            extend(&mut tip, rows, &mut growth);
            if tip.sequence() < through {
                warn!(%account, chained = tip.sequence(), through, "the chain is behind");
            }
        }
        self.keep(account, &growth).await?;
        Ok(tip)
    }
}

/// A row as the chain goes by it, and as a transaction. One that was damaged by hand stays in the chain, which
/// tells of it.
fn row(id: EntryId, item: Item) -> (RowText, Option<Receipt>) {
    let text = RowText { id, text: canonical::text(&item) };
    let receipt = decode::<RowItem>("a transaction", item).map(RowItem::receipt);
    if let Err(fault) = &receipt {
        error!(%id, fault = fault as &dyn std::error::Error, "a transaction does not read; nothing is told of it");
    }
    (text, receipt.ok())
}

/// Adds the rows that follow the end of a chain, as far as they have no gap.
fn extend(tip: &mut Tip, rows: &Rows, growth: &mut Growth) {
    while let Some(row) = rows.get(&tip.sequence().saturating_add(1)) {
        tip.add(row, growth);
    }
}
