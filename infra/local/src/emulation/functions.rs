//! Calls the functions that have no route, as their queues and schedules do. Nothing else on the machine calls them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{AccountId, DeliveryState, ExportKey, Period, Purchase, PurchaseId, PurchaseStep};
use jobs::RenewalTask;
use scrip_http::App;
use store::{JOB_SHARDS, Job};
use tokio::time::timeout;

use crate::directory;

/// The delay after a failed delivery: longer than its lease (60 s).
const AFTER_THE_LEASE: TimeDelta = TimeDelta::seconds(61);

/// How many jobs are read at once.
const PAGE: i32 = 100;

/// `recharge`: checks an account.
///
/// # Errors
/// When the account has to be checked again.
pub(crate) async fn recharge(app: &App, account: AccountId) -> anyhow::Result<()> {
    Ok(recharge::attend(app, account, app.clock.moment()).await?)
}

/// When the earliest scheduled job falls due; `None` without any.
///
/// # Errors
/// When the store fails.
pub(crate) async fn next_job_due(app: &App) -> anyhow::Result<Option<DateTime<Utc>>> {
    Ok(app.ledger.next_job_due().await?)
}

/// `reconcile`: runs the due jobs, and returns how many there were.
///
/// # Errors
/// When the store fails.
pub(crate) async fn reconcile(app: &App) -> anyhow::Result<usize> {
    Ok(reconcile::tick(app, app.clock.moment()).await?)
}

/// `renewal`, from its schedule: starts the renewal sweep of the present month, or the parts of it that are not finished.
///
/// # Errors
/// When the store fails.
pub(crate) async fn start_renewals(app: &App) -> anyhow::Result<u8> {
    let moment = app.clock.moment();
    Ok(renewal::begin(app, Period::of(moment.now), moment).await?)
}

/// `renewal`, from its queue.
///
/// # Errors
/// When the task has to be run again.
pub(crate) async fn renew(app: &App, task: RenewalTask) -> anyhow::Result<()> {
    Ok(renewal::perform(app, task, app.clock.moment()).await?)
}

/// `export`: makes the file of an export.
///
/// # Errors
/// When it has to be called again.
pub(crate) async fn make_export(app: &App, key: ExportKey) -> anyhow::Result<()> {
    Ok(export::make_export(app, key).await?)
}

/// `webhook-delivery`: delivers to the webhooks of an account.
///
/// # Errors
/// When it has to be called again.
pub(crate) async fn deliver_webhooks(app: &App, account: AccountId) -> anyhow::Result<()> {
    Ok(webhook_delivery::deliver(app, account).await?)
}

/// Schedules a delivery to the webhooks of an account at a time when no worker can still hold a lease on them.
///
/// # Errors
/// When the store fails.
pub(crate) async fn schedule_delivery(app: &App, account: AccountId) -> anyhow::Result<()> {
    let due = app.clock.now().checked_add_signed(AFTER_THE_LEASE).unwrap_or_default();
    app.ledger.schedule(Job::Webhooks(account), due).await?;
    Ok(())
}

/// Asks the payment provider for the refunds and disputes that it reported before this machine started, because their
/// events may have been lost with the process.
pub(crate) async fn ask_for_reversals(app: &App) {
    const WAIT: Duration = Duration::from_secs(5);
    match timeout(WAIT, reconcile::poll_providers(app, app.clock.moment())).await {
        Ok(Ok(events)) => tracing::debug!(events, "asked for refunds and disputes"),
        Ok(Err(unsettled)) => {
            tracing::warn!(error = %unsettled, "the payment provider will be asked again soon for refunds and disputes")
        }
        Err(_) => {
            tracing::warn!(
                "the payment provider is slow; it will be asked again for refunds and disputes within a day"
            )
        }
    }
}

/// Ends the leases on purchases and webhooks that an earlier process held when it ended. The data is locked for one
/// process, so no other process can hold a lease, whatever its end.
///
/// # Errors
/// When the store fails.
pub(crate) async fn release_leases(app: &App) -> anyhow::Result<()> {
    for shard in 0..JOB_SHARDS {
        let mut after = None;
        loop {
            let page = app.ledger.due_page(shard, after.as_ref(), DateTime::<Utc>::MAX_UTC, PAGE).await?;
            for scheduled in page.jobs {
                if let Job::Purchase(id) = scheduled.job {
                    release_purchase(app, id).await?;
                }
                if let Job::Export(key) = scheduled.job {
                    release_export(app, key).await?;
                }
            }
            after = page.last;
            if page.is_end {
                break;
            }
        }
    }
    for account in directory::accounts(&app.ledger).await? {
        for (webhook, state) in app.activity.webhooks(account).await? {
            if state != state.free() {
                app.activity.change_delivery_state(account, webhook.id, DeliveryState::free).await?;
            }
        }
    }
    Ok(())
}

/// Releases an export that a process before this one worked on, and has it continued at once.
async fn release_export(app: &App, key: ExportKey) -> anyhow::Result<()> {
    let export = app.ledger.export(key).await?.filter(|export| !export.is_finished());
    if let Some(export) = export {
        app.ledger.save_export(export.released()).await?;
        app.exports.as_ref().send(&key, 0).await?;
    }
    Ok(())
}

async fn release_purchase(app: &App, id: PurchaseId) -> anyhow::Result<()> {
    let Some(purchase) = app.ledger.purchase(id).await? else { return Ok(()) };
    if purchase.next() != PurchaseStep::Rest {
        let free = Purchase { leased_until: DateTime::UNIX_EPOCH, ..purchase };
        app.ledger.save_purchase(&free).await?;
    }
    Ok(())
}
