//! The Lambda function `reconcile`.

use std::pin::Pin;

use app::{App, Fatal};
use lambda_runtime::{LambdaEvent, run, service_fn};
use reconcile::Call;

/// The future of a call, boxed: its full type is too deep for the compiler.
type Handled<'a> = Pin<Box<dyn Future<Output = Result<(), Fatal>> + Send + 'a>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    app::start_log();
    let app = App::from_env()?.with_payments()?.with_recharge_queue()?;
    let app = &app.with_renewal_queue()?.with_webhook_queue()?.with_export_queue()?;
    run(service_fn(|event: LambdaEvent<Call>| -> Handled<'_> {
        Box::pin(reconcile::handle(app, event.payload))
    }))
    .await
}
