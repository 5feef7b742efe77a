//! `GET /api/v3/credits/usage`: what an account's credits were used for; `…/usage/forecast`; and `…/lots`.

mod cost;
mod forecast;
mod lots;
mod request;
mod response;
mod rows;
mod sums;

use std::sync::Arc;

use axum::extract::State;
use domain::Measure;
use scrip_http::{ApiError, App, Caller, QueryParams, Reply, may};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use request::{UsageParams, UsageRequest};
use response::UsageView;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(usage))
        .routes(routes!(forecast::forecast))
        .routes(routes!(lots::lots))
}

/// Returns usage by time and group: credits spent less credits refunded, what these cost, or the number of calls.
///
/// Credits that are held count when they are captured. A refund counts on its own day, as the operation `credit.refund`,
/// with a negative number of credits; it is no call. Points without usage are 0. All times are UTC; weeks are ISO weeks,
/// which begin on Monday, and the first and the last point have only the part of their week or month that is in the range.
///
/// With `measure=cost`, values are minor units (pence, cents). Bought credits cost what was paid for them, in proportion;
/// subscription credits cost the plan's list price, divided by its allowance; bonus credits cost nothing. The cost of a lot's
/// credits in the range is rounded down once and shared out by the largest remainder, so series and points add up to `total`.
///
/// Usage is counted within seconds of the transaction: `asOf` has the last transaction that is included.
///
/// Usage of customers and members is counted by the day. Usage by customer and member together, and usage of customers or
/// members by the hour, is read from the transactions; the range may then contain at most 10,000 of them.
#[utoipa::path(
    get,
    path = "/api/v3/credits/usage",
    tag = "credits",
    params(UsageParams),
    responses((status = 200, body = UsageView)),
)]
async fn usage(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    QueryParams(params): QueryParams<UsageParams>,
) -> Result<Reply, ApiError> {
    let now = caller.call.moment.now;
    let asked = UsageRequest::new(params, now)?;
    let catalogue = app.settings.catalogue(caller.call.moment.wall).await?;
    let (usage, counted) = sums::usage(&app, caller.account, &asked, &catalogue.prices, now).await?;
    let (usage, cost) = match asked.measure {
        Measure::Credits | Measure::Calls => (usage, None),
        Measure::Cost => cost::priced(&app, &caller, usage).await?,
    };
    Reply::ok(&UsageView::new(&asked, usage.series(), counted, now).with_cost(cost))
}
