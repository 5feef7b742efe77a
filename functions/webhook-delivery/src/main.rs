//! The Lambda function `webhook-delivery`.

use app::{App, Fatal};
use lambda_runtime::{LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    app::start_log();
    let app = &App::from_env()?.with_webhook_queue()?.with_webhook_key()?;
    run(service_fn(|event: LambdaEvent<_>| webhook_delivery::handle(app, event))).await
}
