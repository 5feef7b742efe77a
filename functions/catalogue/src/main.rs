//! The Lambda function `catalogue`.

use shared::edge::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(catalogue::routes()).await
}
