//! `scrip index-records`: indexes the records of accounts whose rows are older than the index.

use anyhow::Context;
use chrono::{DateTime, Utc};
use domain::AccountId;
use store::{IndexedRecords, Ledger};

use crate::directory::Directory;

/// After how many rows of one account a line of progress is printed: every few seconds.
const ROWS_A_LINE: u64 = 10_000;

/// Indexes the records of one account, or of all accounts of the directory, and prints a line for each account that lacked
/// something.
///
/// # Errors
/// When the database fails, or a row of an account is missing or unreadable.
pub async fn index_records(
    ledger: &Ledger,
    account: Option<AccountId>,
    now: DateTime<Utc>,
    print: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<()> {
    if let Some(account) = account {
        index_account(ledger, account, now, print).await?;
        print("accounts: 1");
        return Ok(());
    }
    let mut count = 0_u64;
    let mut directory = Directory::of(ledger);
    while let Some(accounts) = directory.next().await? {
        for account in accounts {
            index_account(ledger, account, now, print).await?;
            count = count.saturating_add(1);
        }
    }
    print(&format!("accounts: {count}"));
    Ok(())
}

async fn index_account(
    ledger: &Ledger,
    account: AccountId,
    now: DateTime<Utc>,
    print: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<()> {
    let mut printed = 0_u64;
    let mut progress = |rows: u64| {
        if printed.saturating_add(ROWS_A_LINE) <= rows {
            printed = rows;
            print(&format!("{account}: {rows} rows so far"));
        }
    };
    let indexed = ledger.index_records(account, now, &mut progress).await;
    let indexed = indexed.with_context(|| format!("the records of {account} could not be indexed"))?;
    let IndexedRecords { blocks, full, purchases } = indexed;
    if blocks > 0 || purchases > 0 {
        print(&format!("{account}: {blocks} of {full} blocks written, {purchases} purchases added"));
    }
    Ok(())
}
