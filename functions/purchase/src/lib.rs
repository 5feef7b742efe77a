//! The function `purchase`.

use std::sync::Arc;

use shared::edge::App;
use utoipa_axum::router::OpenApiRouter;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
}
