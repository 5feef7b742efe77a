//! The Lambda function `webhooks`.

use shared::edge::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(webhooks::routes()).await
}
