//! The Lambda function `refund`.

use scrip_http::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(refund::routes()).await
}
