use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use super::{App, finish, log};

/// The function cannot start or go on.
pub type Fatal = lambda_http::Error;

/// What every function does first: logging as Lambda wants it, and the app.
///
/// # Errors
/// When the environment lacks a variable.
pub fn start() -> Result<Arc<App>, Fatal> {
    log::start();
    Ok(App::from_env()?)
}

/// Serves a function's routes for as long as the function lives.
///
/// # Errors
/// When the environment lacks a variable, or the Lambda runtime gives up.
pub async fn serve(routes: OpenApiRouter<Arc<App>>) -> Result<(), Fatal> {
    let app = start()?;
    lambda_http::run(finish(routes, app)).await
}
