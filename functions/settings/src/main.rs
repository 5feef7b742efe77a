//! The Lambda function `settings`.

use scrip_http::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(settings::routes()).await
}
