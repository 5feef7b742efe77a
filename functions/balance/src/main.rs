//! The Lambda function `balance`.

use shared::edge::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(balance::routes()).await
}
