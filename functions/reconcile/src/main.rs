//! The Lambda function `reconcile`.

use app::{App, Fatal};
use lambda_runtime::{LambdaEvent, run, service_fn};
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    app::start_log();
    let app = App::from_env()?.with_payments()?.with_recharge_queue()?;
    let app = &app.with_renewal_queue()?.with_webhook_queue()?;
    run(service_fn(|_: LambdaEvent<IgnoredAny>| async move {
        let handled = reconcile::tick(app, app.clock.moment()).await?;
        tracing::info!(handled, "reconciled");
        Ok::<_, Fatal>(())
    }))
    .await
}
