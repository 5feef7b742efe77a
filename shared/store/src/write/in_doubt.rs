//! Attempts whose answer was lost: a fence settles whether they landed.

use crate::table::error::{Fault, Unsettled};
use crate::table::ledger::Ledger;
use crate::write::commit::Commit;
use domain::{Account, AccountId, Details, EntryId, Receipt, fence};
use ports::{Moment, random};

impl Ledger {
    /// Settles whether the attempt `in_doubt` has landed. Returns its lines when it has, `None` when it never will.
    /// Time alone decides nothing here. Without `details`, they are read from the claim of the attempt where they are needed.
    ///
    /// A fence closes the account to the attempt: if the attempt landed, its number is below the fence's. Then either
    /// it is the account's last entry, or its row exists once the projector has seen every entry before the fence.
    ///
    /// # Errors
    /// [`Unsettled::InProgress`] until the projector has seen these entries; [`Unsettled::NoAccount`],
    /// [`Unsettled::Failed`].
    pub(crate) async fn resolve(
        &self,
        id: AccountId,
        in_doubt: EntryId,
        details: Option<Details>,
        moment: Moment,
    ) -> Result<Option<Vec<Receipt>>, Unsettled> {
        let mut account = self.account(id).await?.ok_or(Unsettled::NoAccount)?;
        if account.ends_with(in_doubt) {
            return Ok(Some(self.last_lines(&account, details).await?));
        }
        if account.fence.up_to < in_doubt {
            account = self.fence_off(account, in_doubt, moment).await?;
            if account.ends_with(in_doubt) {
                return Ok(Some(self.last_lines(&account, details).await?));
            }
        }
        // The watermark is read first: a row that is missing after the watermark has passed it will never exist.
        let known_through = self.watermark(id).await?;
        if let Some(lines) = self.lines(id, in_doubt).await? {
            return Ok(Some(lines));
        }
        // Entries before the fence have numbers below the fence's own.
        if known_through.saturating_add(1) >= account.fence.sequence {
            Ok(None)
        } else {
            Err(Unsettled::InProgress)
        }
    }

    /// The lines of the attempt `id` if it is the account's last entry, so that it has landed for certain; its row is
    /// written if it is missing. `None` says nothing: only [`Ledger::resolve`] finds out.
    ///
    /// # Errors
    /// [`Unsettled::NoAccount`], [`Unsettled::Failed`].
    pub(crate) async fn lines_if_last(
        &self,
        account: AccountId,
        id: EntryId,
        details: Details,
    ) -> Result<Option<Vec<Receipt>>, Unsettled> {
        let account = self.account(account).await?.ok_or(Unsettled::NoAccount)?;
        if !account.ends_with(id) {
            return Ok(None);
        }
        Ok(Some(self.record_last(&account, details).await))
    }

    async fn fence_off(
        &self,
        account: Account,
        in_doubt: EntryId,
        moment: Moment,
    ) -> Result<Account, Unsettled> {
        let id = EntryId::above(in_doubt.max(account.floor()), moment.now, random(), account.row_shards);
        let posting = fence(&account, in_doubt, id, moment.now);
        match self.commit(&account, &posting).await? {
            Commit::Landed(fenced) => {
                self.record_last(&fenced, Details::default()).await;
                Ok(fenced)
            }
            // Another process has fenced it off.
            Commit::Lost(account) if in_doubt <= account.fence.up_to => Ok(account),
            Commit::Lost(_) => Err(Unsettled::InProgress),
            Commit::Missing => Err(Unsettled::NoAccount),
            Commit::Throttled(fault) | Commit::Refused(fault) => Err(fault.into()),
            // The next retry finds the fence if it landed, and sets it if not.
            Commit::Doubtful(_) => Err(Unsettled::InProgress),
        }
    }

    /// The lines of the account's last entry. Without `details`, those of its claim are read.
    async fn last_lines(&self, account: &Account, details: Option<Details>) -> Result<Vec<Receipt>, Fault> {
        let details = match (details, &account.last) {
            (Some(details), _) => details,
            (None, Some(last)) => self.details(account.id, last).await?,
            (None, None) => Details::default(),
        };
        Ok(self.record_last(account, details).await)
    }

    async fn record_last(&self, account: &Account, details: Details) -> Vec<Receipt> {
        let lines = account.receipts(details);
        self.record_or_leave(account, &lines).await;
        lines
    }
}
