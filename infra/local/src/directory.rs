use shared::domain::AccountId;
use shared::store::{Ledger, SHARDS};

/// Accounts that one read of the directory asks for.
const PAGE: i32 = 200;

/// Does something for every account that the directory has, one after the other.
///
/// # Errors
/// When the database does not serve, and whatever `visit` fails with.
pub(crate) async fn every_account(
    ledger: &Ledger,
    mut visit: impl AsyncFnMut(AccountId) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for shard in 0..SHARDS {
        let mut after = None;
        loop {
            let (accounts, is_last) = ledger.listed(shard, after, PAGE).await?;
            for listed in &accounts {
                visit(listed.account).await?;
            }
            after = accounts.last().map(|last| last.account);
            if is_last || after.is_none() {
                break;
            }
        }
    }
    Ok(())
}
