use std::sync::Arc;
use std::time::Duration;

use jobs::Task;
use scrip_http::App;

use crate::duties;
use crate::lane::Work;

/// How often a task is done before it is given up, as a queue gives up a message.
const ATTEMPTS_MAX: u32 = 8;

/// How long a task that could not be done waits. An attempt that was given up is settled after two seconds.
const PAUSE: Duration = Duration::from_millis(400);

/// Does tasks one after the other.
pub(crate) async fn perform(mut work: Work<Task>, app: Arc<App>) {
    while let Some(task) = work.next().await {
        for attempt in 1..=ATTEMPTS_MAX {
            let Err(error) = duties::perform(&app, task).await else { break };
            tracing::warn!(?task, attempt, error = format!("{error:#}"), "a task could not be done");
            tokio::time::sleep(PAUSE).await;
        }
        work.done();
    }
}
