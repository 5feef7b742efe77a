//! The Lambda function `admin`.

use app::App;
use scrip_http::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    app::start_log();
    let app = App::from_env()?.with_payments()?.with_recharge_queue()?.with_renewal_queue()?;
    serve(app, admin::routes()).await
}
