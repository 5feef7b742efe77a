//! The Lambda function `recharge`.

use app::{App, Fatal};
use lambda_runtime::{LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    app::start_log();
    let app = &App::from_env()?.with_payments()?.with_recharge_queue()?;
    run(service_fn(|event: LambdaEvent<_>| recharge::handle(app, event))).await
}
