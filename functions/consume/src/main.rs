//! The Lambda function `consume`.

use shared::edge::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(consume::routes()).await
}
