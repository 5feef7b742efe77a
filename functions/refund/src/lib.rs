//! `POST /api/v3/credits/refund`: credits of a debit go back to where they came from.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{Amount, ClaimKey, Details, EntryId, Reason, Reference};
use scrip_http::{ApiError, App, Booked, Brief, Caller, Intent, Needs, Reply, may};
use serde::Deserialize;
use store::{Claim, Decides, Refund};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(refund)).routes(routes!(fail))
}

/// Credits that are asked back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "transactionId": "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "reason": "technical_failure" }))]
struct NewRefund {
    /// The debit: that of an operation, or a capture.
    #[schema(value_type = String)]
    transaction_id: Reference,
    /// technical_failure, duplicate_operation and canceled_verification are refunded; poor_quality_document and
    /// false_positive are not.
    #[schema(value_type = String)]
    reason: Reason,
    /// How many credits, 1 to 10^12; all that was not refunded yet when left out.
    #[schema(value_type = Option<u64>, minimum = 1)]
    amount: Option<Amount>,
    /// In words.
    #[schema(value_type = Option<String>, max_length = 255)]
    note: Option<Reference>,
    /// For duplicate_operation: the earlier debit for the same operation and resource. Left out, it is looked
    /// for among the 10,000 transactions before.
    #[schema(value_type = Option<String>)]
    duplicate_of: Option<Reference>,
}

/// What has failed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Failure {
    /// In words.
    #[schema(value_type = Option<String>, max_length = 255)]
    note: Option<Reference>,
}

/// Gives credits of a debit back, to the very lots that they came from. What belonged to a month that is over,
/// or to a lot that has expired, comes back as bonus credits for 31 days; those of one
/// day end with the first of them. All refunds of a debit
/// together never exceed it. A debit can be refunded for 31 days; after that, ask your operator.
#[utoipa::path(
    post,
    path = "/api/v3/credits/refund",
    tag = "credits",
    params(("Idempotency-Key" = String, Header, description = "Your name for this request, 1 to 255 visible ASCII characters")),
    request_body = NewRefund,
    responses(
        (status = 201, body = Booked),
        (status = 404, description = "NOT_FOUND: there is no such transaction"),
        (status = 409, description = "ALREADY_REFUNDED; OPERATION_IN_PROGRESS, with Retry-After; CONFLICT"),
        (status = 422, description = "REFUND_NOT_ELIGIBLE: the reason, the transaction, older than 31 days, or more than `details.refundable`; IDEMPOTENCY_KEY_REUSED"),
    ),
)]
async fn refund(
    State(app): State<Arc<App>>,
    caller: Caller<may::Refund>,
    intent: Intent<NewRefund>,
) -> Result<Reply, ApiError> {
    let NewRefund { transaction_id, reason, amount, note, duplicate_of } = intent.body;
    let duplicate_of = duplicate_of
        .map(|twin| EntryId::try_from(String::from(twin)).map_err(|bad| ApiError::field("duplicateOf", bad)))
        .transpose()?;
    let request = Refund {
        transaction: named(transaction_id)?,
        reason,
        amount,
        note,
        duplicate_of,
        by: Decides::Table,
    };
    settle(&app, &caller, request, (intent.key, intent.fingerprint)).await
}

/// Reports that what a debit was made for has failed, before its `settleBy`: it is refunded at once, without
/// anybody's decision.
#[utoipa::path(
    post,
    path = "/api/v3/credits/transactions/{id}/fail",
    tag = "credits",
    params(
        ("id" = String, Path, description = "txn_…"),
        ("Idempotency-Key" = String, Header, description = "Your name for this request, 1 to 255 visible ASCII characters"),
    ),
    request_body(content = Option<Failure>),
    responses(
        (status = 201, body = Booked),
        (status = 404, description = "NOT_FOUND: there is no such transaction"),
        (status = 409, description = "ALREADY_REFUNDED; OPERATION_IN_PROGRESS, with Retry-After; CONFLICT"),
        (status = 422, description = "REFUND_NOT_ELIGIBLE: made without `settleBy`, or reported after it; IDEMPOTENCY_KEY_REUSED"),
    ),
)]
async fn fail(
    State(app): State<Arc<App>>,
    caller: Caller<may::Fail>,
    Path(id): Path<String>,
    Brief(intent): Brief<Failure>,
) -> Result<Reply, ApiError> {
    let id = Reference::try_from(id).map_err(|_| UNKNOWN)?;
    let request = Refund {
        transaction: named(id)?,
        reason: Reason::TechnicalFailure,
        amount: None,
        note: intent.body.note,
        duplicate_of: None,
        by: Decides::Policy,
    };
    settle(&app, &caller, request, (intent.key, intent.fingerprint)).await
}

const UNKNOWN: ApiError = ApiError::NotFound(
    "there is no transaction with this id in this ledger; GET /api/v3/credits/transactions lists those of your key",
);

/// What reads as no id is nobody's.
fn named(id: Reference) -> Result<EntryId, ApiError> {
    EntryId::try_from(String::from(id)).map_err(|_| UNKNOWN)
}

async fn settle<S: Needs>(
    app: &App,
    caller: &Caller<S>,
    request: Refund,
    (key, asked): (domain::IdempotencyKey, domain::Fingerprint),
) -> Result<Reply, ApiError> {
    let details = Details {
        description: request.note.clone(),
        key_id: Some(caller.key),
        request_id: Some(caller.call.id.to_string()),
        ..Details::default()
    };
    let claim = Claim { key: &ClaimKey::Caller(key), fingerprint: &asked, details: &details };
    let refunded = app.ledger.refund(caller.account, &request, claim, caller.call.moment).await?;
    let settled = refunded.ok_or(UNKNOWN)?.settled;
    Reply::created(&Booked::from(&settled.receipt), settled.replayed)
}
