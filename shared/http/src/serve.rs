//! Serves the routes of a function as a Lambda function.

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use super::{App, Fatal, finish};

/// Serves a function's routes for as long as the function lives.
///
/// # Errors
/// When the Lambda runtime gives up.
pub async fn serve(app: App, routes: OpenApiRouter<Arc<App>>) -> Result<(), Fatal> {
    lambda_http::run(finish(routes, Arc::new(app))).await
}
