//! The Lambda function `statements`.

use app::App;
use scrip_http::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    app::start_log();
    serve(App::from_env()?, statements::routes()).await
}
