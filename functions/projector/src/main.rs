//! The Lambda function `projector`.

use lambda_runtime::{LambdaEvent, run, service_fn};
use scrip_http::{Fatal, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    let app = &start()?;
    run(service_fn(|event: LambdaEvent<_>| projector::handle(app, event))).await
}
