//! `POST /api/v3/credits/refund` and `…/transactions/{id}/fail`: refunds the credits of a debit.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{Amount, ClaimKey, Details, EntryId, Fingerprint, IdempotencyKey, Reference, RefundReason};
use scrip_http::{
    ApiError, App, BookedView, Caller, Expensive, Id, IdempotencyHeader, Idempotent, IdempotentOptional,
    Needs, PathId, Reply, may,
};
use serde::Deserialize;
use store::{Claim, Refund, RefundAuthority};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(refund)).routes(routes!(fail))
}

/// A refund to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "transactionId": "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "reason": "technical_failure" }))]
struct NewRefund {
    /// The debit: of an operation, or a capture.
    #[schema(value_type = String)]
    transaction_id: Reference,
    /// technical_failure, duplicate_operation and canceled_verification are refunded; poor_quality_document and
    /// false_positive are not.
    #[schema(value_type = String)]
    reason: RefundReason,
    /// Credits to refund, 1 to 10^12; the whole remainder if left out.
    #[schema(value_type = Option<u64>, minimum = 1)]
    amount: Option<Amount>,
    /// A description.
    #[schema(value_type = Option<String>, max_length = 255)]
    note: Option<Reference>,
    /// For duplicate_operation: the earlier debit for the same operation and resource. If left out, it is searched among
    /// the 10,000 transactions before.
    #[schema(value_type = Option<String>)]
    duplicate_of: Option<Reference>,
}

/// A failure to report.
#[derive(Deserialize, ToSchema)]
#[schema(as = Failure)]
#[serde(deny_unknown_fields)]
struct FailureReport {
    /// A description.
    #[schema(value_type = Option<String>, max_length = 255)]
    note: Option<Reference>,
}

/// Refunds credits of a debit to the lots that they came from. Credits of a month that has ended, or of an expired lot, come
/// back as bonus credits for 31 days; those that come back on one day expire with the first of them. All refunds of a
/// debit together never exceed it. A debit can be refunded for 31 days; after that, ask your operator.
#[utoipa::path(
    post,
    path = "/api/v3/credits/refund",
    tag = "credits",
    params(IdempotencyHeader),
    request_body = NewRefund,
    responses(
        (status = 201, body = BookedView),
        (status = 404, description = "NOT_FOUND: there is no such transaction"),
        (status = 409, description = "ALREADY_REFUNDED; OPERATION_IN_PROGRESS, with Retry-After; CONFLICT"),
        (status = 422, description = "REFUND_NOT_ELIGIBLE: the reason, the transaction, a debit older than 31 days, or more than `details.refundable`; IDEMPOTENCY_KEY_REUSED"),
        (status = 429, description = "RATE_LIMITED: more than 30 searches for an earlier debit in a minute"),
    ),
)]
async fn refund(
    State(app): State<Arc<App>>,
    caller: Caller<may::RefundDebits>,
    intent: Idempotent<NewRefund>,
) -> Result<Reply, ApiError> {
    let NewRefund { transaction_id, reason, amount, note, duplicate_of } = intent.body;
    let duplicate_of = duplicate_of
        .map(|twin| EntryId::try_from(String::from(twin)).map_err(|bad| ApiError::field("duplicateOf", bad)))
        .transpose()?;
    if reason == RefundReason::DuplicateOperation && duplicate_of.is_none() {
        Expensive::DuplicateSearch.count(&app, caller.account, &caller.call).await?;
    }
    let request = Refund {
        transaction: EntryId::try_from(String::from(transaction_id)).map_err(|_| EntryId::NOT_FOUND)?,
        reason,
        amount,
        note,
        duplicate_of,
        by: RefundAuthority::Table,
    };
    settle(&app, &caller, request, intent.key, intent.fingerprint).await
}

/// Reports, before the `settleBy` of a debit, that its operation failed. The debit is refunded at once, without review.
#[utoipa::path(
    post,
    path = "/api/v3/credits/transactions/{id}/fail",
    tag = "credits",
    params(
        ("id" = String, Path, description = "txn_…"),
        IdempotencyHeader,
    ),
    request_body(content = Option<FailureReport>),
    responses(
        (status = 201, body = BookedView),
        (status = 404, description = "NOT_FOUND: there is no such transaction"),
        (status = 409, description = "ALREADY_REFUNDED; OPERATION_IN_PROGRESS, with Retry-After; CONFLICT"),
        (status = 422, description = "REFUND_NOT_ELIGIBLE: made without `settleBy`, or reported after it; IDEMPOTENCY_KEY_REUSED"),
    ),
)]
async fn fail(
    State(app): State<Arc<App>>,
    caller: Caller<may::Fail>,
    Path(transaction): Path<Id<EntryId>>,
    IdempotentOptional(intent): IdempotentOptional<FailureReport>,
) -> Result<Reply, ApiError> {
    let request = Refund {
        transaction: transaction.found()?,
        reason: RefundReason::TechnicalFailure,
        amount: None,
        note: intent.body.note,
        duplicate_of: None,
        by: RefundAuthority::Policy,
    };
    settle(&app, &caller, request, intent.key, intent.fingerprint).await
}

async fn settle<S: Needs>(
    app: &App,
    caller: &Caller<S>,
    request: Refund,
    key: IdempotencyKey,
    fingerprint: Fingerprint,
) -> Result<Reply, ApiError> {
    let details = Details { description: request.note.clone(), ..caller.details() };
    let claim = Claim { key: &ClaimKey::Caller(key), fingerprint: &fingerprint, details: &details };
    let refunded = app.ledger.refund(caller.account, &request, claim, caller.call.moment).await?;
    let settled = refunded.ok_or(EntryId::NOT_FOUND)?.settled;
    Reply::created(&BookedView::from(&settled.receipt), settled.replayed)
}
