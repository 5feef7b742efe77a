//! The renewal queue: starts the function `renewal` for each task.

use std::sync::Arc;
use std::time::Duration;

use jobs::RenewalTask;
use scrip_http::App;

use super::functions;
use super::queue::{QueueReceiver, Retries};

/// All attempts together take longer than the two seconds for which an interrupted claim counts as in progress.
const RETRIES: Retries = Retries { attempts: 8, pause: Duration::from_millis(400) };

/// Runs tasks one after the other.
pub(crate) async fn run_renewals(mut tasks: QueueReceiver<RenewalTask>, app: Arc<App>) {
    while let Some(task) = tasks.next().await {
        RETRIES.handle(&format!("{task:?}"), || functions::renew(&app, task)).await;
        tasks.done();
    }
}
