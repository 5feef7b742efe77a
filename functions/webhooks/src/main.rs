//! The Lambda function `webhooks`.

use app::App;
use scrip_http::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    app::start_log();
    let app = App::from_env()?.with_webhook_queue()?.with_webhook_key()?.with_cursors()?;
    serve(app, webhooks::routes()).await
}
