use domain::AccountId;
use store::{Fault, Ledger, SHARDS};

/// Accounts that one read of the directory asks for.
const PAGE: i32 = 200;

/// All accounts that the directory has, a page at a time.
pub(crate) struct Directory<'a> {
    ledger: &'a Ledger,
    shard: u8,
    after: Option<AccountId>,
}

impl<'a> Directory<'a> {
    pub(crate) fn of(ledger: &'a Ledger) -> Self {
        Self { ledger, shard: 0, after: None }
    }

    /// The next page, which may be empty; `None` after the last.
    ///
    /// # Errors
    /// When the database does not serve.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<AccountId>>, Fault> {
        if SHARDS <= self.shard {
            return Ok(None);
        }
        let (accounts, is_last) = self.ledger.listed(self.shard, self.after, PAGE).await?;
        self.after = accounts.last().map(|last| last.account).filter(|_| !is_last);
        if self.after.is_none() {
            self.shard = self.shard.saturating_add(1);
        }
        Ok(Some(accounts.iter().map(|listed| listed.account).collect()))
    }
}
