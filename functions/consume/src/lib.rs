//! `POST /api/v3/credits/consume`, `…/consume/batch` and `…/quote`: charges one operation or many, and quotes prices.

mod batch;
mod quote;
mod request;

use std::sync::Arc;

use axum::extract::State;
use domain::ClaimKey;
use scrip_http::{ApiError, App, BookedView, Caller, IdempotencyHeader, Idempotent, Reply, SentBefore, may};
use serde::Serialize;
use store::{Claim, DedupeRequest};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use request::ConsumeRequest;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(consume)).routes(routes!(batch::batch)).routes(routes!(quote::quote))
}

/// The transaction and the balance after it.
#[derive(Serialize, ToSchema)]
struct Consumed {
    #[serde(flatten)]
    booked: BookedView,
    /// Whether an earlier request paid for the same operation: then nothing was charged, and `transactionId` is the
    /// earlier transaction. Only for a request with `dedupe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    deduplicated: Option<bool>,
}

/// Charges one operation, completely or not at all, and exactly once however often the request is retried. With `dedupe`,
/// the same operation on the same resource for the same customer is charged once within the window; a repeated request
/// is answered 200 with the transaction that paid.
#[utoipa::path(
    post,
    path = "/api/v3/credits/consume",
    tag = "credits",
    params(IdempotencyHeader),
    request_body = ConsumeRequest,
    responses(
        (status = 201, body = Consumed),
        (status = 200, body = Consumed, description = "already paid, see `dedupe`: nothing was charged"),
        (status = 402, description = "INSUFFICIENT_CREDITS: `details` has `required` and `available`, the credits that this debit could use, including the rest of the post-paid limit; nothing was charged"),
        (status = 403, description = "BUDGET_EXCEEDED: a budget has no room, `details` says which; PLAN_LIMIT_REACHED: this month's debits would exceed the safety limit of an unlimited plan; ORGANISATION_FROZEN"),
        (status = 409, description = "OPERATION_IN_PROGRESS, with Retry-After: an earlier attempt is not settled yet, or expired holds are being closed and their credits may pay; retry with the same Idempotency-Key. CONFLICT"),
    ),
)]
async fn consume(
    State(app): State<Arc<App>>,
    caller: Caller<may::Spend>,
    intent: Idempotent<ConsumeRequest>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let mut asked = intent.body;
    asked.member_id = caller.counts_to(asked.member_id.take(), "")?;
    let checked = check(&app, &caller, &asked).await;
    let sent = SentBefore { key: &intent.key, fingerprint: &intent.fingerprint };
    caller.unless_replayed(&app, sent, checked).await?;
    let (request, details) = asked.priced(&catalogue.prices, moment.now)?;
    let details = caller.signs(details);
    let key = ClaimKey::Caller(intent.key);
    let claim = Claim { key: &key, fingerprint: &intent.fingerprint, details: &details };
    let decide =
        |account: &domain::Account, attempt: &domain::Attempt| domain::consume(account, &request, attempt);
    let Some(same) = asked.same(&request) else {
        let settled = app.ledger.spend(caller.account, claim, moment, decide).await?;
        let receipt = &settled.receipt;
        let consumed = Consumed { booked: receipt.into(), deduplicated: None };
        return Reply::created(&consumed, settled.replayed);
    };
    let once = app
        .ledger
        .settle_deduplicated(caller.account, DedupeRequest { claim, dedupe: same, moment }, decide)
        .await?;
    let receipt = &once.settled.receipt;
    let consumed = Consumed { booked: receipt.into(), deduplicated: Some(once.is_duplicate) };
    if once.is_duplicate {
        Ok(Reply::ok(&consumed)?.replayed(once.settled.replayed))
    } else {
        Reply::created(&consumed, once.settled.replayed)
    }
}

/// Checks the fields of a request, and that its member is known where that is required.
async fn check<S>(app: &App, caller: &Caller<S>, asked: &ConsumeRequest) -> Result<(), ApiError> {
    asked.check("", caller.call.moment.now)?;
    caller.knows_members(app, asked.member("")).await
}
