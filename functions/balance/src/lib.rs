//! `GET /api/v3/credits/balance`: what an organisation has.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use shared::edge::{ApiError, App, Balance, Caller, Params, Reply, may};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(balance))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {}

/// What the organisation has now, strongly consistent: a debit that was answered is in it.
#[utoipa::path(get, path = "/api/v3/credits/balance", tag = "credits", responses((status = 200, body = Balance)))]
async fn balance(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    let now = caller.call.moment.now;
    let account = app.ledger.account(caller.account).await?;
    let account = account.ok_or(ApiError::NotFound("there is no such organisation"))?;
    Reply::ok(&Balance::new(&account.balance(now), account.sequence, now))
}
