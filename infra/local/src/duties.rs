//! What the functions that no route reaches do. The machine calls them here and nowhere else.

use chrono::{DateTime, Utc};
use shared::domain::AccountId;
use shared::edge::App;

/// The function `recharge`: looks at an account that was woken.
///
/// # Errors
/// When it has to be woken again.
pub(crate) async fn attend(_: &App, account: AccountId) -> anyhow::Result<()> {
    tracing::debug!(%account, "nobody attends to a wake");
    Ok(())
}

/// When the earliest errand falls due; none when nothing is to be done.
///
/// # Errors
/// When the store does not serve.
pub(crate) async fn next_errand(_: &App) -> anyhow::Result<Option<DateTime<Utc>>> {
    Ok(None)
}

/// The function `reconcile`: handles what is due by now; how much there was.
///
/// # Errors
/// When the store does not serve.
pub(crate) async fn tick(_: &App) -> anyhow::Result<usize> {
    Ok(0)
}
