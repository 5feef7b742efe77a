//! The export queue: starts the function `export` for each message.

use std::sync::Arc;
use std::time::Duration;

use domain::ExportKey;
use scrip_http::App;

use super::functions;
use super::queue::{QueueReceiver, Retries};

/// How many files are made at the same time.
const AT_ONCE: usize = 4;

/// All attempts together take longer than the two seconds for which an interrupted claim counts as in progress.
const RETRIES: Retries = Retries { attempts: 8, pause: Duration::from_millis(400) };

/// Makes the files of exports.
pub(crate) async fn make_exports(keys: QueueReceiver<ExportKey>, app: Arc<App>) {
    keys.handle_concurrently(AT_ONCE, |key| make(key, app.clone())).await;
}

async fn make(key: ExportKey, app: Arc<App>) {
    RETRIES.handle(&format!("the export {}", key.export), || functions::make_export(&app, key)).await;
}
