//! The Lambda function `webhook-delivery`.

use lambda_runtime::{LambdaEvent, run, service_fn};
use scrip_http::{Fatal, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    let app = &start()?;
    run(service_fn(|event: LambdaEvent<_>| webhook_delivery::handle(app, event))).await
}
