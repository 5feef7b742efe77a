//! How much an organisation and its parts may spend: budgets (`/api/v3/credits/budgets`), teams (`/api/v3/teams`) and
//! requests for larger budgets (`/api/v3/budget-requests`).

mod budgets;
mod request;
mod requests;
mod teams;

use std::sync::Arc;

use scrip_http::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(budgets::list_budgets, budgets::create_budget))
        .routes(routes!(budgets::read_budget, budgets::change_budget, budgets::delete_budget))
        .routes(routes!(teams::list_teams, teams::create_team))
        .routes(routes!(teams::read_team, teams::change_team, teams::delete_team))
        .routes(routes!(requests::list_budget_requests, requests::request_budget))
        .routes(routes!(requests::read_budget_request))
        .routes(routes!(requests::approve_budget_request))
        .routes(routes!(requests::decline_budget_request))
}
