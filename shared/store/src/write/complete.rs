//! Completing an entry: making sure that its rows exist, whatever crashed.

use std::error::Error;

use chrono::{DateTime, Utc};

use crate::chain::raw_rows::ChainRows;
use crate::table::canonical;
use crate::table::error::Fault;
use crate::table::item::receipt;
use crate::table::key::{Key, StoredItem};
use crate::table::ledger::Ledger;
use domain::{Account, AccountId, Entry, EntryId, Receipt, RowText};

/// Entries that the stream showed and whose rows are known to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedEntries {
    /// The texts of the rows, as the table has them.
    pub rows: ChainRows,
    /// The same rows as transactions, without unreadable ones.
    pub receipts: Vec<Receipt>,
    /// The time of the last row's id.
    pub time: DateTime<Utc>,
}

impl Ledger {
    /// Makes sure that the rows of the account's last entry exist. `None` for a new account without entries.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn complete(&self, account: &Account) -> Result<Option<CompletedEntries>, Fault> {
        let Some(last) = &account.last else { return Ok(None) };
        let count = usize::try_from(last.rows()).unwrap_or(usize::MAX);
        let mut rows = self.rows_of_entry(account.id, last, false).await?;
        if rows.len() != count {
            rows = self.write_rows(account, last).await?;
        }
        if rows.len() != count {
            return Err(Fault::corrupt("a transaction", "it is gone as soon as it was recorded"));
        }
        let first = account.sequence.saturating_sub(last.rows()).saturating_add(1);
        let (texts, receipts): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let rows = (first..).zip(texts).collect();
        let receipts = receipts.into_iter().flatten().collect();
        Ok(Some(CompletedEntries { rows, receipts, time: account.floor().time() }))
    }

    /// One transaction of an account, even if it is the last and its row does not exist yet; `None` when there is no such
    /// transaction.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn find(&self, account: AccountId, id: EntryId) -> Result<Option<Receipt>, Fault> {
        if let Some(receipt) = self.transaction(account, id).await? {
            return Ok(Some(receipt));
        }
        let Some(known) = self.account(account).await? else { return Ok(None) };
        let is_last = known.last.as_ref().is_some_and(|last| (last.id..=last.last_id()).contains(&id));
        if !is_last {
            return Ok(None);
        }
        self.complete(&known).await?;
        self.transaction(account, id).await
    }

    /// Writes the missing rows of an entry and returns all of its rows as stored: another process may have written them
    /// first.
    async fn write_rows(
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

    /// The rows of an entry that exist, as the table has them.
    async fn rows_of_entry(
        &self,
        account: AccountId,
        entry: &Entry,
        consistent: bool,
    ) -> Result<Vec<(RowText, Option<Receipt>)>, Fault> {
        if entry.rows() == 1 {
            let key = Key::Row(account, entry.id);
            let item = self.table.read(&key, consistent, "look for a row").await?;
            return Ok(item.map(|item| row(entry.id, item)).into_iter().collect());
        }
        let items = self.rows_between(account, entry.id, entry.last_id(), consistent).await?;
        let ids = (0..).map(|place| entry.id.after(place));
        Ok(ids.zip(items).map(|(id, item)| row(id, item)).collect())
    }
}

/// A row's text for the chain, and its transaction. A row that was damaged by hand stays in the chain, which proves the
/// damage.
fn row(id: EntryId, item: StoredItem) -> (RowText, Option<Receipt>) {
    let text = RowText { id, text: canonical::text(&item) };
    let receipt = receipt(item);
    if let Err(fault) = &receipt {
        tracing::error!(%id, fault = fault as &dyn Error, "a transaction is unreadable; no event is emitted for it");
    }
    (text, receipt.ok())
}
