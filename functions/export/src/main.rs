//! The Lambda function `export`.

use app::{App, Fatal};
use lambda_runtime::{LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    app::start_log();
    let app = &App::from_env()?.with_files()?;
    run(service_fn(|event: LambdaEvent<_>| export::handle(app, event))).await
}
