//! The Lambda function `payments`.

use app::App;
use scrip_http::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    app::start_log();
    let app = App::from_env()?.with_payments()?.with_recharge_queue()?;
    serve(app, payments::routes()).await
}
