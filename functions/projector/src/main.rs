//! The Lambda function `projector`.

use app::{App, Fatal};
use lambda_runtime::{LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    app::start_log();
    let app = &App::from_env()?.with_recharge_queue()?.with_renewal_queue()?.with_event_bus()?;
    run(service_fn(|event: LambdaEvent<_>| projector::handle(app, event))).await
}
