//! The Lambda function `renewal`.

use std::pin::Pin;

use lambda_runtime::{LambdaEvent, run, service_fn};
use scrip_http::{Fatal, start};

/// A call at work, without its type: that of the whole way down is more than the compiler looks through.
type Handled<'a> = Pin<Box<dyn Future<Output = Result<renewal::Answer, Fatal>> + Send + 'a>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    let app = &start()?;
    run(service_fn(|event: LambdaEvent<_>| -> Handled<'_> { Box::pin(renewal::handle(app, event)) })).await
}
