//! Reads the directory of accounts page by page.

use domain::AccountId;
use store::{DIRECTORY_SHARDS, Fault, Ledger};

/// The number of accounts that one read requests.
const PAGE: i32 = 200;

/// A reader of the directory that begins at the first account.
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
    /// When the database fails.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<AccountId>>, Fault> {
        if DIRECTORY_SHARDS <= self.shard {
            return Ok(None);
        }
        let (accounts, is_last) = self.ledger.directory_page(self.shard, self.after, PAGE).await?;
        self.after = accounts.last().map(|last| last.account).filter(|_| !is_last);
        if self.after.is_none() {
            self.shard = self.shard.saturating_add(1);
        }
        Ok(Some(accounts.iter().map(|listed| listed.account).collect()))
    }
}

/// All accounts of the ledger.
///
/// # Errors
/// When the database fails.
pub(crate) async fn accounts(ledger: &Ledger) -> Result<Vec<AccountId>, Fault> {
    let mut found = Vec::new();
    let mut directory = Directory::of(ledger);
    while let Some(accounts) = directory.next().await? {
        found.extend(accounts);
    }
    Ok(found)
}
