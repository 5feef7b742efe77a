use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{Currency, Rate, RateList};
use scrip_http::{ApiError, App, ExchangeRate, Once, Operator, Params, Reply};
use serde::Deserialize;
use utoipa::ToSchema;

/// What a currency is worth in another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "rate": 1.17 }))]
pub(super) struct NewRate {
    /// How many units of the second one of the first is worth: above 0, at most 1,000,000, six
    /// decimals.
    #[schema(value_type = f64)]
    rate: Rate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {}

/// Sets an exchange rate, at once and one way: the way back has a rate of its own. Functions that have
/// read the rates go by them for up to a minute.
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
        (status = 200, body = ExchangeRate),
        (status = 409, description = "CONFLICT: the catalogue keeps no more rates"),
    ),
)]
pub(super) async fn set_rate(
    State(app): State<Arc<App>>,
    _: Operator,
    Path((from, to)): Path<(String, String)>,
    Once { body: NewRate { rate }, .. }: Once<NewRate>,
) -> Result<Reply, ApiError> {
    let currency =
        |code, field: &str| Currency::try_from(code).map_err(|problem| ApiError::field(field, problem));
    let (from, to) = (currency(from, "from")?, currency(to, "to")?);
    app.settings.change(|rates: &RateList| Ok((rates.change(from, to, rate)?, ()))).await?;
    Reply::ok(&ExchangeRate::new(from.code(), to.code(), rate))
}

/// Every exchange rate that was set.
#[utoipa::path(
    get,
    path = "/admin/v1/exchange-rates",
    tag = "operator",
    responses((status = 200, body = Vec<ExchangeRate>)),
)]
pub(super) async fn list_rates(
    State(app): State<Arc<App>>,
    operator: Operator,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    let catalogue = app.settings.catalogue(operator.call.moment.wall).await?;
    let rates: Vec<_> =
        catalogue.rates.iter().map(|(from, to, rate)| ExchangeRate::new(from, to, rate)).collect();
    Reply::page(&rates, None)
}
