use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobs::{Task, Tasks, Unsent};
use scrip_http::App;

use crate::duties;
use crate::lane::{Lane, Work};

/// How often a task is done before it is given up, as a queue gives up a message.
const ATTEMPTS_MAX: u32 = 8;

/// How long a task that could not be done waits. An attempt that was given up is settled after two seconds.
const PAUSE: Duration = Duration::from_millis(400);

/// The queue of renewals, within the process. It holds nothing back: here no crowd is to be spread.
pub(crate) struct LocalTasks(pub(crate) Lane<Task>);

#[async_trait]
impl Tasks for LocalTasks {
    async fn send(&self, task: Task, _: u16) -> Result<(), Unsent> {
        if self.0.send(task) { Ok(()) } else { Err(Unsent("the machine is ending".to_owned())) }
    }
}

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
