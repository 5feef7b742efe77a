//! What the functions that no route reaches do. The machine calls them here and nowhere else.

use chrono::{DateTime, Utc};
use shared::domain::AccountId;
use shared::edge::App;

/// The function `recharge`: looks at an account that was woken.
///
/// # Errors
/// When it has to be woken again.
pub(crate) async fn attend(app: &App, account: AccountId) -> anyhow::Result<()> {
    Ok(recharge::attend(app, account, app.clock.moment()).await?)
}

/// When the earliest errand falls due; none when nothing is to be done.
///
/// # Errors
/// When the store does not serve.
pub(crate) async fn next_errand(app: &App) -> anyhow::Result<Option<DateTime<Utc>>> {
    Ok(app.ledger.next_errand().await?)
}

/// The function `reconcile`: handles what is due by now; how much there was.
///
/// # Errors
/// When the store does not serve.
pub(crate) async fn tick(app: &App) -> anyhow::Result<usize> {
    Ok(reconcile::tick(app, app.clock.moment()).await?)
}
