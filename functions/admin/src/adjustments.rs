use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    AccountId, Adjustment, Amount, ClaimKey, Details, Direction, Mode, Reference, Refusal, Source, adjust,
};
use scrip_http::{ApiError, App, Booked, Intent, Operator, Reply};
use serde::Deserialize;
use store::{Claim, Unsettled};
use utoipa::ToSchema;

/// What an operator puts right.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "amount": -5, "reason": "Charged twice on the 3rd, see ticket 4711" }))]
pub(super) struct NewAdjustment {
    /// Credits that arrive, or below zero that leave: ±1 to ±10^12.
    amount: i64,
    /// subscription, purchased or bonus; postPaid settles what is outstanding. Left out, credits arrive as
    /// bonus credits and leave in the order of consumption.
    #[schema(value_type = Option<String>)]
    source: Option<Source>,
    /// Why; stands in the record beside who.
    #[schema(value_type = String, max_length = 255)]
    reason: Reference,
    /// Which ledger: live, when left out, or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
}

/// Puts an organisation's credits right, in either direction, never below zero. What is given or taken of
/// the month's subscription credits holds until the month turns, whatever plan follows.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/adjustments",
    tag = "operator",
    params(
        ("id" = String, Path, description = "org_…"),
        ("Idempotency-Key" = String, Header, description = "Your name for this request"),
    ),
    request_body = NewAdjustment,
    responses(
        (status = 201, body = Booked),
        (status = 402, description = "INSUFFICIENT_CREDITS: the organisation has fewer credits than the adjustment takes; `details.available` says how many it could take"),
        (status = 404, description = "NOT_FOUND"),
    ),
)]
pub(super) async fn adjust_credits(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    intent: Intent<NewAdjustment>,
) -> Result<Reply, ApiError> {
    let NewAdjustment { amount, source, reason, mode } = intent.body;
    let account = AccountId { org: super::organisation(id)?, mode: mode.unwrap_or(Mode::Live) };
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
        app.ledger.spend(account, claim, moment, |account, head| adjust(account, &request, head)).await;
    let settled = settled.map_err(|unsettled| {
        if let Unsettled::Refused(Refusal::InsufficientCredits { required, available }) = unsettled {
            ApiError::TooFewToTake { required, available }
        } else {
            unsettled.into()
        }
    })?;
    Reply::created(&Booked::from(&settled.receipt), settled.replayed)
}
