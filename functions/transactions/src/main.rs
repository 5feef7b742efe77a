//! The Lambda function `transactions`.

use shared::edge::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    serve(transactions::routes().split_for_parts().0).await
}
