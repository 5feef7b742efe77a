use std::sync::Arc;
use std::time::Duration;

use jobs::Task;
use scrip_http::App;

use crate::duties;
use crate::lane::{Retries, Work};

/// An attempt that was given up is settled after two seconds.
const RETRIES: Retries = Retries { attempts: 8, pause: Duration::from_millis(400) };

/// Does tasks one after the other.
pub(crate) async fn perform(mut work: Work<Task>, app: Arc<App>) {
    while let Some(task) = work.next().await {
        RETRIES.handle(&format!("{task:?}"), || duties::perform(&app, task)).await;
        work.done();
    }
}
