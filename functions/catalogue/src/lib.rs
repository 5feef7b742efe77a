//! `GET /api/v3/credits/packages`, `/api/v3/pricing`, `/api/v3/plans`: what is sold, for everybody to
//! read.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use domain::{Currency, OrgId, Scope};
use http::header::AUTHORIZATION;
use http::request::Parts;
use scrip_http::{ApiError, App, Call, Caller, Needs, OperationPrice, PackageOnSale, Params, Plan, Reply};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(packages)).routes(routes!(pricing)).routes(routes!(plans))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {}

/// Which packages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PackagesQuery {
    /// ISO 4217 code of a currency; all when left out. Not to be sent with a key, which has its organisation's.
    #[param(value_type = Option<String>, example = "GBP")]
    currency: Option<Currency>,
}

/// Who buys or looks.
enum Buyer {}

impl Needs for Buyer {
    const SCOPE: Scope = Scope::CreditsRead;
    const OR: Option<Scope> = Some(Scope::CreditsPurchase);
}

/// The organisation that asks, where a key of one is sent; everybody may ask without.
struct Asks(Option<OrgId>);

impl FromRequestParts<Arc<App>> for Asks {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(Self(None));
        }
        match Caller::<Buyer>::from_request_parts(parts, app).await {
            Ok(caller) => Ok(Self(Some(caller.account.org))),
            // An operator's key, and one that is unknown or may not look at the account: anybody may read all.
            Err(ApiError::Denied(_) | ApiError::InvalidKey | ApiError::MissingKey) => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }
}

/// The packages of credits that are on sale, the smallest first. With a key of an organisation, those that it can
/// buy: the ones in its own currency.
#[utoipa::path(
    get,
    path = "/api/v3/credits/packages",
    tag = "catalogue",
    security(),
    params(PackagesQuery),
    responses((status = 200, body = Vec<PackageOnSale>)),
)]
async fn packages(
    State(app): State<Arc<App>>,
    call: Call,
    Asks(org): Asks,
    Params(PackagesQuery { currency }): Params<PackagesQuery>,
) -> Result<([(&'static str, &'static str); 1], Reply), ApiError> {
    // A cache must not serve the list for everybody to an organisation that asks with its key.
    const BY_KEY: [(&str, &str); 1] = [("vary", "Authorization")];
    let catalogue = app.settings.catalogue(call.moment.wall).await?;
    let (packages, now) = (&catalogue.packages, call.moment.now);
    let Some(org) = org else {
        let on_sale =
            currency.map_or_else(|| packages.on_sale(now), |currency| packages.on_sale_in(currency, now));
        return Ok((BY_KEY, Reply::page(&PackageOnSale::all(&on_sale), None)?.public()));
    };
    if currency.is_some() {
        let problem =
            "can't be sent with a key; the packages listed are those in your organisation's own currency";
        return Err(ApiError::field("currency", problem));
    }
    let organisation = app.settings.organisation(org).await?;
    let organisation = organisation.ok_or(ApiError::NotFound("there is no such organisation"))?;
    let reply = Reply::page(&PackageOnSale::all(&packages.on_sale_in(organisation.currency, now)), None)?;
    Ok((BY_KEY, reply))
}

/// What every operation costs, by category; and what it will cost, where a change is planned.
#[utoipa::path(
    get,
    path = "/api/v3/pricing",
    tag = "catalogue",
    security(),
    responses((status = 200, body = Vec<OperationPrice>)),
)]
async fn pricing(
    State(app): State<Arc<App>>,
    call: Call,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    let catalogue = app.settings.catalogue(call.moment.wall).await?;
    let listed: Vec<OperationPrice> =
        catalogue.prices.listed(call.moment.now).iter().map(Into::into).collect();
    Ok(Reply::page(&listed, None)?.public())
}

/// The subscription plans, the cheapest first.
#[utoipa::path(
    get,
    path = "/api/v3/plans",
    tag = "catalogue",
    security(),
    responses((status = 200, body = Vec<Plan>)),
)]
async fn plans(
    State(app): State<Arc<App>>,
    call: Call,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    let catalogue = app.settings.catalogue(call.moment.wall).await?;
    let offered: Vec<Plan> = catalogue.plans.offered(call.moment.now).into_iter().map(Into::into).collect();
    Ok(Reply::page(&offered, None)?.public())
}
