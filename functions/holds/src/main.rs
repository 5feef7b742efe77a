//! The Lambda function `holds`.

use shared::edge::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(holds::routes()).await
}
