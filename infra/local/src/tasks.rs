use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shared::calendar::{Task, Tasks, Unsent};
use shared::edge::App;

use crate::duties;
use crate::lane::{Lane, Retries, Work};

/// An attempt that was given up is settled after two seconds.
const RETRIES: Retries = Retries { attempts: 8, pause: Duration::from_millis(400) };

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
        RETRIES.handle(&format!("{task:?}"), || duties::perform(&app, task)).await;
        work.done();
    }
}
