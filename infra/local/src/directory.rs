use shared::domain::AccountId;
use shared::store::{Ledger, SHARDS};

/// Accounts that one read of the directory asks for.
const PAGE: i32 = 200;

/// Goes through all accounts that the directory has, a page at a time.
///
/// # Errors
/// When the database does not serve, and whatever `visit` fails with.
pub(crate) async fn every_account(
    ledger: &Ledger,
    mut visit: impl AsyncFnMut(Vec<AccountId>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for shard in 0..SHARDS {
        let mut after = None;
        loop {
            let (accounts, is_last) = ledger.listed(shard, after, PAGE).await?;
            after = accounts.last().map(|last| last.account);
            visit(accounts.iter().map(|listed| listed.account).collect()).await?;
            if is_last || after.is_none() {
                break;
            }
        }
    }
    Ok(())
}
