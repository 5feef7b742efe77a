//! The Lambda function `payments`.

use scrip_http::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(payments::routes()).await
}
