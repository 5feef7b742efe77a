//! The Lambda function `webhooks`.

use scrip_http::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(webhooks::routes()).await
}
