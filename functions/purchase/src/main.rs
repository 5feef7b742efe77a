//! The Lambda function `purchase`.

use scrip_http::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(purchase::routes()).await
}
