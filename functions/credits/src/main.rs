//! The Lambda function `credits`.

use app::App;
use scrip_http::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    app::start_log();
    serve(App::from_env()?, credits::routes()).await
}
