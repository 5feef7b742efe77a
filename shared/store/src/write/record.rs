//! Rows: recording what has landed, and reading the lines that an attempt has made.

use tracing::warn;

use crate::table::error::{Fault, Unsettled};
use crate::table::item::{PlanSwitchItem, RowItem, receipt, with_key};
use crate::table::key::{ClaimsOf, Key};
use crate::table::ledger::Ledger;
use crate::write::expression::opened;
use domain::{Account, AccountId, Details, Entry, EntryId, Receipt};

impl Ledger {
    /// Opens an account, unless it is open already.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn open(&self, account: &Account) -> Result<(), Fault> {
        // The directory first: the renewal sweep would never find an account that is missing from it.
        self.list_account(account.id).await?;
        self.table.put_new(opened(account)?, "open an account").await.map(|_| ())
    }

    /// All lines of the ledger that an attempt has made: one, or those of a batch. `None` when no row of it exists.
    ///
    /// # Errors
    /// [`Unsettled::InProgress`] while only some of the rows exist; [`Unsettled::Failed`] when the table does not answer.
    pub(crate) async fn lines(
        &self,
        account: AccountId,
        attempt: EntryId,
    ) -> Result<Option<Vec<Receipt>>, Unsettled> {
        let Some(first) = self.transaction(account, attempt).await? else { return Ok(None) };
        let rows = first.details.batch.map_or(1, |place| place.rows);
        if rows <= 1 {
            return Ok(Some(vec![first]));
        }
        let last = attempt.after(u64::from(rows).saturating_sub(1));
        let items = self.rows_between(account, attempt, last, true).await?;
        if items.len() == usize::try_from(rows).unwrap_or(usize::MAX) {
            Ok(Some(items.into_iter().map(receipt).collect::<Result<_, Fault>>()?))
        } else {
            Err(Unsettled::InProgress)
        }
    }

    /// The details that the claim of an entry holds; empty for entries of the system. All moves of credits are in the
    /// entry itself, so an entry whose claim is gone or was taken over gets its row nevertheless.
    pub(crate) async fn details(&self, account: AccountId, entry: &Entry) -> Result<Details, Fault> {
        let Some(key) = &entry.claim else { return Ok(Details::default()) };
        let claim = self.claim_of(ClaimsOf::Account(account), key).await?;
        let claim = claim.filter(|claim| claim.id == entry.id);
        if claim.is_none() {
            warn!(account = %account, transaction = %entry.id, "the claim is gone; the row has no details");
        }
        Ok(claim.map(|claim| claim.details).unwrap_or_default())
    }

    /// Writes a transaction's row. A repeated write has the same content, so an existing row stays.
    pub(crate) async fn record(&self, account: AccountId, receipt: &Receipt) -> Result<(), Fault> {
        self.remember_plan(account, receipt).await?;
        self.remember_hold(account, receipt).await?;
        let item = with_key(&Key::Row(account, receipt.entry.id), &RowItem::from(receipt))?;
        self.table.put_new(item, "record a transaction").await.map(|_| ())
    }

    /// Adds an entry that changed the plan to the plan history. This is written before the entry's row, so that a process
    /// that finds the row finds the whole history.
    async fn remember_plan(&self, account: AccountId, receipt: &Receipt) -> Result<(), Fault> {
        let switch = receipt.entry.switch.clone().filter(|switch| switch.from != switch.to);
        let Some(switch) = switch else { return Ok(()) };
        let Entry { id, at, .. } = &receipt.entry;
        let item = PlanSwitchItem { id: *id, switch, at: *at };
        let item = with_key(&Key::PlanSwitch(account, receipt.sequence), &item)?;
        self.table.put_new(item, "add a change of plan").await.map(|_| ())
    }
}
