//! Prices of operations.

use std::error::Error;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::TimeDelta;
use domain::{CreditsWithin, EffectiveTime, Operation, Price, PriceCategory, PriceList, PriceUpdate};
use scrip_http::{ApiError, App, Instant, Once, OperationPrice, Operator, Reply, duty};
use serde::Deserialize;
use store::Moment;
use utoipa::ToSchema;

/// A new price of an operation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "credits": 3, "effectiveFrom": "2027-01-01T00:00:00Z" }))]
pub(super) struct NewPrice {
    /// Credits for one operation, 0 to 1,000,000.
    #[schema(value_type = u64, maximum = 1_000_000)]
    credits: CreditsWithin<0, { Price::MAX }>,
    /// When the price takes effect, not in the past; at once if left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_from: Option<Instant>,
    /// verification, aml, deepfake, kyt or other. Required for a new operation. The category belongs to the operation, so
    /// it changes at once.
    #[schema(value_type = Option<String>)]
    category: Option<PriceCategory>,
    /// Whether the operation is charged every month as long as it continues. It changes at once, too.
    monthly: Option<bool>,
}

/// Sets the price of an operation from a point in time on, or creates an operation. Earlier prices are kept; prices
/// planned for a later time are replaced. When a monthly price falls, suspended monitors are charged again. A retry
/// changes nothing. Functions may use the previous price for up to 5 seconds.
#[utoipa::path(
    put,
    path = "/admin/v1/pricing/{operation}",
    tag = "operator",
    params(("operation" = String, Path, description = "1 to 64 characters of a-z 0-9 . _")),
    request_body = NewPrice,
    responses(
        (status = 200, body = OperationPrice),
        (status = 409, description = "CONFLICT: the catalogue keeps no more prices"),
    ),
)]
pub(super) async fn set_price(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Catalogue>,
    Path(operation): Path<String>,
    Once { body: wanted, .. }: Once<NewPrice>,
) -> Result<Reply, ApiError> {
    let NewPrice { credits, effective_from, category, monthly } = wanted;
    let operation =
        Operation::try_from(operation).map_err(|problem| ApiError::field("operation", problem))?;
    let when = EffectiveTime::new(effective_from.map(|Instant(from)| from), operator.call.moment.now);
    let wanted = PriceUpdate { credits: credits.into(), category, monthly };
    let listed = app.settings.change(|prices: &PriceList| prices.change(&operation, wanted, when)).await?;
    retry_monitors(&app, operator.call.moment).await;
    Reply::ok(&OperationPrice::from(&listed))
}

/// Charges suspended monitors again if a monthly price has just fallen. If the queue is unavailable, the hourly sweep does
/// it.
async fn retry_monitors(app: &App, moment: Moment) {
    let since = moment.now.checked_sub_signed(TimeDelta::seconds(2)).unwrap_or(moment.now);
    if let Err(unfinished) = app.jobs().retry_after_price_drop(since, moment).await {
        tracing::warn!(cause = &unfinished as &dyn Error, "monitors whose price fell are left to the sweep");
    }
}
