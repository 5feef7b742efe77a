//! `/admin/v1/…`: the operator's side. Organisations, their keys, and credits that are given.

mod adjustments;
mod grants;
mod keys;
mod organisations;
mod terms;

use std::sync::Arc;

use shared::domain::OrgId;
use shared::edge::{ApiError, App};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(organisations::create))
        .routes(routes!(keys::issue))
        .routes(routes!(keys::revoke))
        .routes(routes!(grants::grant))
        .routes(routes!(adjustments::create))
        .routes(routes!(terms::post_paid))
        .routes(routes!(terms::freeze))
        .routes(routes!(terms::unfreeze))
}

/// The organisation that a path names.
fn organisation(id: String) -> Result<OrgId, ApiError> {
    OrgId::try_from(id).map_err(|_| NO_ORGANISATION)
}

const NO_ORGANISATION: ApiError = ApiError::NotFound("there is no such organisation");
