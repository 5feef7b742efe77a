//! The Lambda function `team`.

use app::App;
use scrip_http::{Fatal, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fatal> {
    app::start_log();
    let app = App::from_env()?.with_cursors()?.with_dashboard().with_mail()?;
    serve(app, team::routes()).await
}
