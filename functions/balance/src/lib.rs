//! `GET /api/v3/credits/balance`: what an organisation has.

use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use domain::Account;
use scrip_http::{ApiError, App, Balance, Caller, Instant, Params, Reply, instant, may};
use serde::Deserialize;
use store::Unsettled;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(balance))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// A past time: what the organisation had after the last entry of the ledger up to then.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Instant>,
}

/// What the organisation has now, strongly consistent: a debit that was answered is in it. Whoever looks
/// first in a new month turns it. With `at`, what it had then: the ledger up to the first transaction that
/// is later, and `asOf.sequence` says up to which.
#[utoipa::path(
    get,
    path = "/api/v3/credits/balance",
    tag = "credits",
    params(Query),
    responses(
        (status = 200, body = Balance),
        (status = 404, description = "NOT_FOUND: the ledger had no transaction yet at `at`"),
    ),
)]
async fn balance(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Params(Query { at }): Params<Query>,
) -> Result<Reply, ApiError> {
    let now = caller.call.moment.now;
    let (account, foreseen) = current(&app, &caller).await?;
    let Some(Instant(at)) = at else {
        return Reply::ok(&Balance::new(&foreseen.balance(now), account.sequence, now));
    };
    let opened = account.id.org.time();
    if now.timestamp() < at.timestamp() || at.timestamp() < opened.timestamp() {
        let (opened, now) = (instant::text(&opened), instant::text(&now));
        return Err(ApiError::field(
            "at",
            format!("must lie between {opened}, when the organisation was opened, and {now}"),
        ));
    }
    let known = app.ledger.balance_at(&account, at).await?;
    let (balance, sequence) = known
        .ok_or(ApiError::NotFound("the ledger had no transaction yet at that time; ask for a later one"))?;
    Reply::ok(&Balance::new(&balance, sequence, at))
}

/// The account, with what is due written down if it can be, and the same with what ended holds will give back.
/// Where nothing can be written, the balance is the same.
async fn current(app: &App, caller: &Caller<may::Read>) -> Result<(Account, Account), ApiError> {
    match app.ledger.caught_up_and_foreseen(caller.account, caller.call.moment).await {
        Ok(both) => Ok(both),
        Err(Unsettled::NoAccount) => Err(Unsettled::NoAccount.into()),
        Err(unsettled) => {
            tracing::warn!(account = %caller.account, cause = &unsettled as &dyn Error, "what is due is left to others");
            let account = app.ledger.account(caller.account).await?.ok_or(Unsettled::NoAccount)?;
            Ok((account.clone(), account))
        }
    }
}
