//! The settings of an organisation: `GET` and `PUT` of `/api/v3/credits/auto-recharge` and `…/alerts`.

mod alerts;
mod recharge;

use std::sync::Arc;

use scrip_http::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(recharge::read_auto_recharge, recharge::set_auto_recharge))
        .routes(routes!(alerts::read_alerts, alerts::set_alerts))
}
