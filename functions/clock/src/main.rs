//! The Lambda function `clock`.

use scrip_http::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(clock::routes()).await
}
