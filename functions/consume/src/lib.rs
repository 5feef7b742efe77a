//! `POST /api/v3/credits/consume` and what goes with it: take credits the moment a call is made, for one
//! operation or for many, and say beforehand what it would cost.

mod asked;
mod batch;
mod quote;

use std::sync::Arc;

use axum::extract::State;
use domain::{ClaimKey, Fingerprint, IdempotencyKey};
use scrip_http::{ApiError, App, Booked, Caller, Intent, Reply, may};
use serde::Serialize;
use store::{Claim, ClaimsOf, DedupeRequest};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use asked::Consume;

/// The functions' routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(consume)).routes(routes!(batch::batch)).routes(routes!(quote::quote))
}

/// The transaction, and what is left.
#[derive(Serialize, ToSchema)]
struct Consumed {
    #[serde(flatten)]
    booked: Booked,
    /// Whether an earlier request has paid for the same, and `transactionId` names it: nothing was charged.
    /// Only for a request with `dedupe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    deduplicated: Option<bool>,
}

/// Charges one operation: all of it or nothing, exactly once however often it is sent. With `dedupe`, the
/// same operation on the same resource for the same customer is charged once within the window: whoever asks
/// again is answered 200 with the transaction that has paid.
#[utoipa::path(
    post,
    path = "/api/v3/credits/consume",
    tag = "credits",
    params(("Idempotency-Key" = String, Header, description = "Your name for this request, 1 to 255 visible ASCII characters")),
    request_body = Consume,
    responses(
        (status = 201, body = Consumed),
        (status = 200, body = Consumed, description = "paid for before, see `dedupe`: nothing was charged"),
        (status = 402, description = "INSUFFICIENT_CREDITS: `details` has `required` and `available`, the credits that this debit could use, with what is left of the post-paid limit; nothing was charged"),
        (status = 403, description = "PLAN_LIMIT_REACHED: this month's debits would pass the safety limit of an unlimited plan; ORGANISATION_FROZEN"),
        (status = 409, description = "OPERATION_IN_PROGRESS, with Retry-After: an earlier sending is not settled yet, or holds that have ended are being closed and their credits may pay; send it again with the same Idempotency-Key. CONFLICT"),
    ),
)]
async fn consume(
    State(app): State<Arc<App>>,
    caller: Caller<may::Consume>,
    intent: Intent<Consume>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let asked = intent.body;
    if let Err(problem) = asked.check("", moment.now) {
        replays(&app, &caller, (&intent.key, &intent.fingerprint), problem).await?;
    }
    let (request, mut details) = asked.priced(&catalogue.prices, moment.now)?;
    details.key_id = Some(caller.key);
    details.request_id = Some(caller.call.id.to_string());
    let key = ClaimKey::Caller(intent.key);
    let claim = Claim { key: &key, fingerprint: &intent.fingerprint, details: &details };
    let decide = |account: &domain::Account, head: &domain::Head| domain::consume(account, &request, head);
    let Some(same) = asked.same(&request) else {
        let settled = app.ledger.spend(caller.account, claim, moment, decide).await?;
        let receipt = &settled.receipt;
        let consumed = Consumed { booked: receipt.into(), deduplicated: None };
        return Reply::created(&consumed, settled.replayed);
    };
    let once =
        app.ledger.settle_once(caller.account, DedupeRequest { claim, dedupe: same, moment }, decide).await?;
    let receipt = &once.settled.receipt;
    let consumed = Consumed { booked: receipt.into(), deduplicated: Some(once.is_duplicate) };
    if once.is_duplicate {
        Ok(Reply::ok(&consumed)?.replayed(once.settled.replayed))
    } else {
        Reply::created(&consumed, once.settled.replayed)
    }
}

/// A request that was charged stays so, also where it would not read any more: its `settleBy` has passed.
///
/// # Errors
/// The problem, for one that was not sent before.
async fn replays(
    app: &App,
    caller: &Caller<may::Consume>,
    (key, asked): (&IdempotencyKey, &Fingerprint),
    problem: ApiError,
) -> Result<(), ApiError> {
    let (of, key) = (ClaimsOf::Account(caller.account), ClaimKey::Caller(key.clone()));
    let made = app.ledger.made_before(of, &key, asked, caller.call.moment).await?;
    made.map(|_| ()).ok_or(problem)
}
