//! `GET /api/v3/credits/packages`, `/api/v3/pricing`, `/api/v3/plans`: what is sold, for everybody to
//! read.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use shared::edge::{ApiError, App, Call, OperationPrice, PackageOnSale, Params, Plan, Reply};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(packages)).routes(routes!(pricing)).routes(routes!(plans))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {}

/// The packages of credits that are on sale, the smallest first.
#[utoipa::path(
    get,
    path = "/api/v3/credits/packages",
    tag = "catalogue",
    security(),
    responses((status = 200, body = Vec<PackageOnSale>)),
)]
async fn packages(
    State(app): State<Arc<App>>,
    call: Call,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    let catalogue = app.settings.catalogue(call.moment.wall).await?;
    let on_sale = PackageOnSale::all(&catalogue.packages.on_sale(call.moment.now));
    Ok(Reply::page(&on_sale, None)?.public())
}

/// What every operation costs, by category; and what it will cost, where a change is planned.
#[utoipa::path(
    get,
    path = "/api/v3/pricing",
    tag = "catalogue",
    security(),
    responses((status = 200, body = Vec<OperationPrice>)),
)]
async fn pricing(
    State(app): State<Arc<App>>,
    call: Call,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    let catalogue = app.settings.catalogue(call.moment.wall).await?;
    let listed: Vec<OperationPrice> =
        catalogue.prices.listed(call.moment.now).iter().map(Into::into).collect();
    Ok(Reply::page(&listed, None)?.public())
}

/// The subscription plans, the cheapest first.
#[utoipa::path(
    get,
    path = "/api/v3/plans",
    tag = "catalogue",
    security(),
    responses((status = 200, body = Vec<Plan>)),
)]
async fn plans(
    State(app): State<Arc<App>>,
    call: Call,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    let catalogue = app.settings.catalogue(call.moment.wall).await?;
    let offered: Vec<Plan> = catalogue.plans.offered(call.moment.now).into_iter().map(Into::into).collect();
    Ok(Reply::page(&offered, None)?.public())
}
