//! The Lambda function `catalogue`.

use scrip_http::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(catalogue::routes()).await
}
