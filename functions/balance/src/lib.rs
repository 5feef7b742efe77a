//! `GET /api/v3/credits/balance`: the credits of an organisation.

use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use domain::Account;
use scrip_http::{ApiError, App, BalanceView, Caller, Instant, QueryParams, Reply, may, timestamp};
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
struct BalanceQuery {
    /// A past time. The answer is the balance after the last transaction up to that time.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Instant>,
}

/// Returns the balance, strongly consistent: it includes every debit that was answered. The first request of a month grants
/// the month's allowance. With `at`, returns the balance at that time; `asOf.sequence` is the last transaction included.
#[utoipa::path(
    get,
    path = "/api/v3/credits/balance",
    tag = "credits",
    params(BalanceQuery),
    responses(
        (status = 200, body = BalanceView),
        (status = 404, description = "NOT_FOUND: the ledger had no transaction yet at `at`"),
    ),
)]
async fn balance(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    QueryParams(BalanceQuery { at }): QueryParams<BalanceQuery>,
) -> Result<Reply, ApiError> {
    let now = caller.call.moment.now;
    let (account, foreseen) = current(&app, &caller).await?;
    let Some(Instant(at)) = at else {
        return Reply::ok(&BalanceView::new(&foreseen.balance(now), account.sequence, now));
    };
    let opened = account.id.org.time();
    if now.timestamp() < at.timestamp() || at.timestamp() < opened.timestamp() {
        let (opened, now) = (timestamp::text(&opened), timestamp::text(&now));
        return Err(ApiError::field(
            "at",
            format!("must lie between {opened}, when the organisation was opened, and {now}"),
        ));
    }
    let known = app.ledger.balance_at(&account, at).await?;
    let (balance, sequence) =
        known.ok_or(ApiError::NotFound("the ledger had no transaction at that time; send a later one"))?;
    Reply::ok(&BalanceView::new(&balance, sequence, at))
}

/// The account with everything due recorded, and the same account with the credits of expired holds returned. If
/// nothing can be written, both are the stored account.
async fn current(app: &App, caller: &Caller<may::Read>) -> Result<(Account, Account), ApiError> {
    match app.ledger.catch_up_and_project(caller.account, caller.call.moment).await {
        Ok(both) => Ok(both),
        Err(Unsettled::NoAccount) => Err(Unsettled::NoAccount.into()),
        Err(unsettled) => {
            tracing::warn!(account = %caller.account, cause = &unsettled as &dyn Error, "what is due was not recorded");
            let account = app.ledger.account(caller.account).await?.ok_or(Unsettled::NoAccount)?;
            Ok((account.clone(), account))
        }
    }
}
