//! Adjustments: an operator corrects the credits of an organisation.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    AccountId, Adjustment, Amount, ClaimKey, Details, Direction, Mode, OrgId, Reference, Refusal, Source,
    adjust,
};
use scrip_http::{ApiError, App, BookedView, Id, IdempotencyHeader, Idempotent, Operator, Reply, duty};
use serde::Deserialize;
use store::{Claim, Unsettled};
use utoipa::ToSchema;

/// A correction of credits.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "amount": -5, "reason": "Charged twice on the 3rd, see ticket 4711" }))]
pub(super) struct NewAdjustment {
    /// Credits to add, or below zero to take: ±1 to ±10^12.
    amount: i64,
    /// subscription, purchased or bonus; postPaid settles outstanding credits. If left out, credits are added as bonus
    /// credits and taken in the order of consumption.
    #[schema(value_type = Option<String>)]
    source: Option<Source>,
    /// The reason, recorded with the operator's key.
    #[schema(value_type = String, max_length = 255)]
    reason: Reference,
    /// The ledger: live (default) or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
}

/// Corrects an organisation's credits, up or down but never below zero. A correction of subscription credits lasts until
/// the month ends, also when the plan changes.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/adjustments",
    tag = "operator",
    params(
        ("id" = String, Path, description = "org_…"),
        IdempotencyHeader,
    ),
    request_body = NewAdjustment,
    responses(
        (status = 201, body = BookedView),
        (status = 402, description = "INSUFFICIENT_CREDITS: the organisation has fewer credits than the adjustment takes; `details.available` is the most that it could take"),
        (status = 404, description = "NOT_FOUND"),
    ),
)]
pub(super) async fn adjust_credits(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Money>,
    Path(org): Path<Id<OrgId>>,
    intent: Idempotent<NewAdjustment>,
) -> Result<Reply, ApiError> {
    let NewAdjustment { amount, source, reason, mode } = intent.body;
    let account = AccountId { org: org.found()?, mode: mode.unwrap_or(Mode::Live) };
    operator.call.is_about(account);
    let moment = app.ledger.moment_of(account, operator.call.moment).await?;
    let direction = if amount < 0 { Direction::Debit } else { Direction::Credit };
    let amount = Amount::try_from(amount.unsigned_abs()).map_err(|_| {
        ApiError::field(
            "amount",
            format!("must be a whole number from 1 to {0}, or from -{0} to -1", Amount::MAX),
        )
    })?;
    let request = Adjustment { direction, amount, source };
    let details = Details {
        description: Some(reason),
        super_admin: Some(operator.key),
        request_id: Some(operator.call.id.to_string()),
        ..Details::default()
    };
    let claim =
        Claim { key: &ClaimKey::Operator(intent.key), fingerprint: &intent.fingerprint, details: &details };
    let settled =
        app.ledger.spend(account, claim, moment, |account, attempt| adjust(account, &request, attempt)).await;
    let settled = settled.map_err(|unsettled| {
        if let Unsettled::Refused(Refusal::InsufficientCredits { required, available, .. }) = unsettled {
            ApiError::TooFewToTake { required, available }
        } else {
            unsettled.into()
        }
    })?;
    Reply::created(&BookedView::from(&settled.receipt), settled.replayed)
}
