//! What an organisation pays monthly: its plan (`/api/v3/subscription`) and its monitors (`/api/v3/monitors`). Operators
//! change the plan by `/admin/v1/organisations/{id}/subscription`.

mod change;
mod monitors;
mod operator;
mod plan;
mod response;

use std::sync::Arc;

use scrip_http::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(plan::read_subscription, plan::change_subscription))
        .routes(routes!(operator::set_subscription))
        .routes(routes!(monitors::list_monitors, monitors::create_monitor))
        .routes(routes!(monitors::read_monitor, monitors::delete_monitor))
}
