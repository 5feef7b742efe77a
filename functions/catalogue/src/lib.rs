//! `GET /api/v3/credits/packages`, `/api/v3/pricing`, `/api/v3/plans`: the public catalogue.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use domain::{Currency, OrgId, Scope};
use http::header::AUTHORIZATION;
use http::request::Parts;
use scrip_http::{
    ApiError, App, Caller, Needs, OperationPrice, PackageOnSale, PlanView, QueryParams, Reply, RequestContext,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(packages)).routes(routes!(pricing)).routes(routes!(plans))
}

/// The filter of the list of packages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PackagesQuery {
    /// ISO 4217 code of a currency; all currencies if left out. Not allowed with an API key, whose organisation has a
    /// currency.
    #[param(value_type = Option<String>, example = "GBP")]
    currency: Option<Currency>,
}

/// A key that may read credits or buy them.
enum Buyer {}

impl Needs for Buyer {
    const SCOPE: Scope = Scope::CreditsRead;
    const OR: Option<Scope> = Some(Scope::CreditsPurchase);
}

/// The organisation of the API key, if one is sent. The catalogue is public.
struct Asks(Option<OrgId>);

impl FromRequestParts<Arc<App>> for Asks {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(Self(None));
        }
        match Caller::<Buyer>::from_request_parts(parts, app).await {
            Ok(caller) => Ok(Self(Some(caller.account.org))),
            Err(ApiError::Denied(_) | ApiError::Unidentified(_)) => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }
}

/// Lists the packages on sale, the smallest first. With an organisation's key, lists those in its own currency, which it
/// can buy.
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
    call: RequestContext,
    Asks(org): Asks,
    QueryParams(PackagesQuery { currency }): QueryParams<PackagesQuery>,
) -> Result<([(&'static str, &'static str); 1], Reply), ApiError> {
    // A cache must not serve the public list to an organisation that sends its key.
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
            "is not allowed with an API key; the list has the packages in your organisation's currency";
        return Err(ApiError::field("currency", problem));
    }
    let organisation = app.settings.organisation(org, call.moment.wall).await?;
    let organisation = organisation.ok_or(ApiError::NotFound("there is no such organisation"))?;
    let reply = Reply::page(&PackageOnSale::all(&packages.on_sale_in(organisation.currency, now)), None)?;
    Ok((BY_KEY, reply))
}

/// Lists the prices of all operations by category, with planned changes.
#[utoipa::path(
    get,
    path = "/api/v3/pricing",
    tag = "catalogue",
    security(),
    responses((status = 200, body = Vec<OperationPrice>)),
)]
async fn pricing(State(app): State<Arc<App>>, call: RequestContext) -> Result<Reply, ApiError> {
    let catalogue = app.settings.catalogue(call.moment.wall).await?;
    let listed: Vec<OperationPrice> =
        catalogue.prices.listed(call.moment.now).iter().map(Into::into).collect();
    Ok(Reply::page(&listed, None)?.public())
}

/// Lists the subscription plans, the cheapest first.
#[utoipa::path(
    get,
    path = "/api/v3/plans",
    tag = "catalogue",
    security(),
    responses((status = 200, body = Vec<PlanView>)),
)]
async fn plans(State(app): State<Arc<App>>, call: RequestContext) -> Result<Reply, ApiError> {
    let catalogue = app.settings.catalogue(call.moment.wall).await?;
    let offered: Vec<PlanView> =
        catalogue.plans.offered(call.moment.now).into_iter().map(Into::into).collect();
    Ok(Reply::page(&offered, None)?.public())
}
