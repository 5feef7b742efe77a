//! The Lambda function `renewal`.

use std::pin::Pin;

use app::{App, Fatal};
use lambda_runtime::{LambdaEvent, run, service_fn};

/// The future of a call, boxed: its full type is too deep for the compiler.
type Handled<'a> = Pin<Box<dyn Future<Output = Result<renewal::Response, Fatal>> + Send + 'a>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    app::start_log();
    let app = &App::from_env()?.with_renewal_queue()?;
    run(service_fn(|event: LambdaEvent<_>| -> Handled<'_> { Box::pin(renewal::handle(app, event)) })).await
}
