//! Refunds of debits by an operator.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{AccountId, Amount, ClaimKey, Details, EntryId, Mode, OrgId, Reference, RefundReason};
use scrip_http::{ApiError, App, BookedView, Id, IdempotencyHeader, Idempotent, Operator, Reply, duty};
use serde::Deserialize;
use store::{Claim, Refund, RefundAuthority};
use utoipa::ToSchema;

/// A refund of a debit to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({
    "transactionId": "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "reason": "poor_quality_document", "note": "Goodwill, see ticket 4711"
}))]
pub(super) struct OperatorRefund {
    /// The debit: of an operation, or a capture.
    #[schema(value_type = String)]
    transaction_id: Reference,
    /// Any of the five reasons.
    #[schema(value_type = String)]
    reason: RefundReason,
    /// Credits to refund; the whole remainder if left out.
    #[schema(value_type = Option<u64>, minimum = 1)]
    amount: Option<Amount>,
    /// Why the operator makes the refund, recorded with the operator's key.
    #[schema(value_type = String, max_length = 255)]
    note: Reference,
    /// The ledger: live (default) or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
}

/// Refunds a debit for any reason, also a reason that callers get no refund for. All refunds of a debit together never
/// exceed it.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/refunds",
    tag = "operator",
    params(
        ("id" = String, Path, description = "org_…"),
        IdempotencyHeader,
    ),
    request_body = OperatorRefund,
    responses(
        (status = 201, body = BookedView),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "ALREADY_REFUNDED; OPERATION_IN_PROGRESS, with Retry-After; CONFLICT"),
        (status = 422, description = "REFUND_NOT_ELIGIBLE: not a debit, or more than `details.refundable`; IDEMPOTENCY_KEY_REUSED"),
    ),
)]
pub(super) async fn refund_debit(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Customers>,
    Path(org): Path<Id<OrgId>>,
    intent: Idempotent<OperatorRefund>,
) -> Result<Reply, ApiError> {
    const UNKNOWN: ApiError = ApiError::NotFound(
        "this ledger of the organisation has no transaction with this id; send an id of its list of transactions, and `mode: \"test\"` for a transaction of a test key",
    );
    let OperatorRefund { transaction_id, reason, amount, note, mode } = intent.body;
    let account = AccountId { org: org.found()?, mode: mode.unwrap_or(Mode::Live) };
    operator.call.is_about(account);
    let moment = app.ledger.moment_of(account, operator.call.moment).await?;
    let request = Refund {
        transaction: EntryId::try_from(String::from(transaction_id)).map_err(|_| UNKNOWN)?,
        reason,
        amount,
        note: Some(note.clone()),
        duplicate_of: None,
        by: RefundAuthority::Operator,
    };
    let details = Details {
        description: Some(note),
        super_admin: Some(operator.key),
        request_id: Some(operator.call.id.to_string()),
        ..Details::default()
    };
    let claim =
        Claim { key: &ClaimKey::Operator(intent.key), fingerprint: &intent.fingerprint, details: &details };
    let settled = app.ledger.refund(account, &request, claim, moment).await?.ok_or(UNKNOWN)?.settled;
    Reply::created(&BookedView::from(&settled.receipt), settled.replayed)
}
