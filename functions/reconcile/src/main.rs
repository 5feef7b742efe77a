//! The Lambda function `reconcile`.

use lambda_runtime::{LambdaEvent, run, service_fn};
use scrip_http::{Fatal, start};
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    let app = &start()?;
    run(service_fn(|_: LambdaEvent<IgnoredAny>| async move {
        let handled = reconcile::tick(app, app.clock.moment()).await?;
        tracing::info!(handled, "reconciled");
        Ok::<_, Fatal>(())
    }))
    .await
}
