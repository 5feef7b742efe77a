//! Exchange rates.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{Currency, ExchangeRateList, Rate};
use scrip_http::{ApiError, App, ExchangeRateView, Once, Operator, Reply, duty};
use serde::Deserialize;
use utoipa::ToSchema;

/// An exchange rate to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "rate": 1.17 }))]
pub(super) struct NewRate {
    /// Units of the second currency for one unit of the first: above 0, at most 1,000,000, with six decimals.
    #[schema(value_type = f64)]
    rate: Rate,
}

/// Sets an exchange rate, at once and in one direction: the other direction has a rate of its own. Functions may use the
/// previous rate for up to 5 seconds.
#[utoipa::path(
    put,
    path = "/admin/v1/exchange-rates/{from}/{to}",
    tag = "operator",
    params(
        ("from" = String, Path, description = "ISO 4217 code, such as GBP"),
        ("to" = String, Path, description = "ISO 4217 code, such as EUR"),
    ),
    request_body = NewRate,
    responses(
        (status = 200, body = ExchangeRateView),
        (status = 409, description = "CONFLICT: the catalogue keeps no more rates"),
    ),
)]
pub(super) async fn set_rate(
    State(app): State<Arc<App>>,
    _: Operator<duty::Catalogue>,
    Path(path): Path<(String, String)>,
    Once { body: NewRate { rate }, .. }: Once<NewRate>,
) -> Result<Reply, ApiError> {
    let currency =
        |code, field: &str| Currency::try_from(code).map_err(|problem| ApiError::field(field, problem));
    let (from, to) = (currency(path.0, "from")?, currency(path.1, "to")?);
    app.settings.change(|rates: &ExchangeRateList| Ok((rates.change(from, to, rate)?, ()))).await?;
    Reply::ok(&ExchangeRateView::new(from.code(), to.code(), rate))
}

/// Lists all exchange rates.
#[utoipa::path(
    get,
    path = "/admin/v1/exchange-rates",
    tag = "operator",
    responses((status = 200, body = Vec<ExchangeRateView>)),
)]
pub(super) async fn list_rates(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Reading>,
) -> Result<Reply, ApiError> {
    let catalogue = app.settings.catalogue(operator.call.moment.wall).await?;
    let rates: Vec<_> =
        catalogue.rates.iter().map(|(from, to, rate)| ExchangeRateView::new(from, to, rate)).collect();
    Reply::page(&rates, None)
}
