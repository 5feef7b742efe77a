//! The Lambda function `subscription`.

use shared::edge::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(subscription::routes()).await
}
