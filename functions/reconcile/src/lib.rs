//! The function `reconcile`: runs the scheduled jobs that are due. EventBridge Scheduler invokes it every five minutes.

use app::App;
use store::{Fault, Moment, Unsettled};

/// Runs the jobs that are due, and returns how many.
///
/// # Errors
/// When the list of jobs cannot be read or written.
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
