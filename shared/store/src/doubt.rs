use super::post::Commit;
use super::{Ledger, Moment, Unsettled};
use domain::{Account, AccountId, Details, EntryId, Receipt, fence};
use ports::random;

impl Ledger {
    /// Settles whether the attempt `doubted` has landed: its lines when it has, `None` when it
    /// has not and never will. Time alone decides nothing here.
    ///
    /// A fence closes the account to the attempt, and its number splits the ledger: if the attempt
    /// landed, it did so before. Then either the account's last entry is it, or its row exists once
    /// the projector has seen every entry before the fence.
    ///
    /// # Errors
    /// [`Unsettled::InProgress`] while the projector is not that far;
    /// [`Unsettled::NoAccount`], [`Unsettled::Failed`].
    pub(super) async fn resolve(
        &self,
        id: AccountId,
        doubted: EntryId,
        details: Details,
        moment: Moment,
    ) -> Result<Option<Vec<Receipt>>, Unsettled> {
        let mut account = self.account(id).await?.ok_or(Unsettled::NoAccount)?;
        if is_last(&account, doubted) {
            return Ok(Some(self.record_last(&account, details).await));
        }
        if account.fence.up_to < doubted {
            account = self.fence_off(account, doubted, moment).await?;
            if is_last(&account, doubted) {
                return Ok(Some(self.record_last(&account, details).await));
            }
        }
        // The watermark first: a row that is missing after it was reached will never be there.
        let known_through = self.watermark(id).await?;
        if let Some(lines) = self.lines(id, doubted).await? {
            return Ok(Some(lines));
        }
        // Entries before the fence are those with numbers below its own.
        if known_through.saturating_add(1) >= account.fence.sequence {
            Ok(None)
        } else {
            Err(Unsettled::InProgress)
        }
    }

    async fn fence_off(
        &self,
        account: Account,
        doubted: EntryId,
        moment: Moment,
    ) -> Result<Account, Unsettled> {
        let id = EntryId::above(doubted.max(account.floor()), moment.now, random());
        let posting = fence(&account, doubted, id, moment.now);
        match self.commit(&account, &posting).await? {
            Commit::Landed(fenced) => {
                self.record_last(&fenced, Details::default()).await;
                Ok(fenced)
            }
            // Somebody else has fenced it off.
            Commit::Lost(account) => Ok(account),
            Commit::Missing => Err(Unsettled::NoAccount),
            Commit::Throttled(fault) | Commit::Refused(fault) => Err(fault.into()),
            // If it landed, the next sending finds it; if not, the next sending sets it.
            Commit::Doubtful(_) => Err(Unsettled::InProgress),
        }
    }

    async fn record_last(&self, account: &Account, details: Details) -> Vec<Receipt> {
        let lines = account.receipts(details);
        self.record_or_leave(account.id, &lines).await;
        lines
    }
}

fn is_last(account: &Account, id: EntryId) -> bool {
    account.last.as_ref().is_some_and(|last| last.id == id)
}
