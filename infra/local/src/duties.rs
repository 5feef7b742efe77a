//! What the functions that no route reaches do. The machine calls them here and nowhere else.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{AccountId, DeliveryState, Period, Purchase, Step};
use jobs::Task;
use scrip_http::App;
use store::Errand;
use tokio::time::timeout;

use crate::directory::Directory;

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

/// The function `renewal`, on its schedule: begins the round of the present month, or goes on with it.
///
/// # Errors
/// When the store does not serve.
pub(crate) async fn begin_round(app: &App) -> anyhow::Result<u8> {
    let moment = app.clock.moment();
    Ok(renewal::begin(app, Period::of(moment.now), moment).await?)
}

/// The function `renewal`, from its queue.
///
/// # Errors
/// When the task has to be done again.
pub(crate) async fn perform(app: &App, task: Task) -> anyhow::Result<()> {
    Ok(renewal::perform(app, task, app.clock.moment()).await?)
}

/// The function `webhook-delivery`: looks at the webhooks of an account.
///
/// # Errors
/// When it has to look again.
pub(crate) async fn deliver(app: &App, account: AccountId) -> anyhow::Result<()> {
    Ok(webhook_delivery::look(app, account).await?)
}

/// Has the webhooks of an account looked at once nobody can have them any more.
///
/// # Errors
/// When the store does not serve.
pub(crate) async fn deliver_later(app: &App, account: AccountId) -> anyhow::Result<()> {
    let due = app.clock.now().checked_add_signed(TimeDelta::seconds(61)).unwrap_or_default();
    app.ledger.note(Errand::Webhooks(account), due).await?;
    Ok(())
}

/// All accounts that there are.
///
/// # Errors
/// When the store does not serve.
pub(crate) async fn accounts(app: &App) -> anyhow::Result<Vec<AccountId>> {
    let mut found = Vec::new();
    let mut directory = Directory::of(&app.ledger);
    while let Some(accounts) = directory.next().await? {
        found.extend(accounts);
    }
    Ok(found)
}

/// Asks the payment provider for the refunds and disputes that it told before this machine started: their events
/// may have been lost with the process.
pub(crate) async fn look_for_reversals(app: &App) {
    const WAIT: Duration = Duration::from_secs(5);
    match timeout(WAIT, reconcile::poll_providers(app, app.clock.moment())).await {
        Ok(Ok(events)) => tracing::debug!(events, "looked for refunds and disputes"),
        Ok(Err(unsettled)) => {
            tracing::warn!(error = %unsettled, "refunds and disputes are looked for again soon")
        }
        Err(_) => {
            tracing::warn!("the payment provider is slow; refunds and disputes are looked for within a day")
        }
    }
}

/// Frees the purchases and the webhooks that a process was at work on when it died. The data is in the hands of one process,
/// so nobody is at work on them any more, whatever their leases say.
///
/// # Errors
/// When the store does not serve.
pub(crate) async fn free(app: &App) -> anyhow::Result<()> {
    for noted in app.ledger.errands(DateTime::<Utc>::MAX_UTC).await? {
        let Errand::Purchase(id) = noted.errand else { continue };
        let Some(purchase) = app.ledger.purchase(id).await? else { continue };
        if purchase.next() != Step::Rest {
            let free = Purchase { leased_until: DateTime::UNIX_EPOCH, ..purchase };
            app.ledger.save_purchase(&free).await?;
        }
    }
    for account in accounts(app).await? {
        for (webhook, state) in app.activity.webhooks(account).await? {
            if state != state.free() {
                app.activity.change_delivery_state(account, webhook.id, DeliveryState::free).await?;
            }
        }
    }
    Ok(())
}
