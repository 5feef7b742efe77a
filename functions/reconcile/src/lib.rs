//! The function `reconcile`: runs the scheduled jobs that are due. EventBridge Scheduler calls it for each shard of the jobs
//! every minute, and every hour for the daily poll of the payment providers.

use app::{App, Fatal};
use serde::Deserialize;
use store::{Fault, Moment, Unsettled};

/// A call of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "run", rename_all = "camelCase")]
pub enum Call {
    /// Run the due jobs of one shard.
    Jobs {
        /// The shard, `0..`[`store::JOB_SHARDS`].
        shard: u8,
    },
    /// Poll the payment providers for refunds and disputes, if that was not done within a day.
    Poll,
}

/// Handles a call.
///
/// # Errors
/// When the list of jobs cannot be read.
pub async fn handle(app: &App, call: Call) -> Result<(), Fatal> {
    match call {
        Call::Jobs { shard } => {
            let run = Box::pin(app.dispatcher().run_shard(shard)).await?;
            tracing::info!(
                shard,
                run.handled,
                run.left,
                late_seconds = run.latest.num_seconds(),
                "jobs were run"
            );
        }
        Call::Poll => {
            let events = Box::pin(app.dispatcher().poll_daily(app.clock.moment())).await;
            tracing::info!(events, "the payment providers were polled");
        }
    }
    Ok(())
}

/// Runs everything that is due, as all calls of a minute do, and returns how much there was.
///
/// # Errors
/// When the list of jobs cannot be read.
pub async fn tick(app: &App, moment: Moment) -> Result<usize, Fault> {
    Box::pin(app.dispatcher().run_due(moment)).await
}

/// Polls the payment providers for refunds and disputes now.
///
/// # Errors
/// When a provider is unavailable, or one of its events cannot be handled.
pub async fn poll_providers(app: &App, moment: Moment) -> Result<usize, Unsettled> {
    Box::pin(app.dispatcher().poll_providers(moment)).await
}
