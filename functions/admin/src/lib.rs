//! `/admin/v1/…`: what operators do. Organisations, their keys, credits and terms, the catalogue,
//! reports, operators' keys, and the audit log.

mod adjustments;
mod audit_log;
mod broken;
mod closing;
mod grants;
mod inspect;
mod jobs;
mod keys;
mod listing;
mod operator_keys;
mod organisations;
mod packages;
mod plan_limit;
mod plans;
mod prices;
mod purchases;
mod rates;
mod refunds;
mod repair;
mod roll_forward;
mod roll_forward_sums;
mod spending;
mod terms;

use std::sync::Arc;

use scrip_http::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(organisations::create, listing::list_organisations))
        .routes(routes!(inspect::get_organisation, organisations::change_organisation))
        .routes(routes!(jobs::list_jobs))
        .routes(routes!(repair::repair_ledger))
        .routes(routes!(plan_limit::set_plan_limit))
        .routes(routes!(keys::issue, keys::list_keys))
        .routes(routes!(keys::revoke))
        .routes(routes!(operator_keys::list_operator_keys, operator_keys::create_operator_key))
        .routes(routes!(operator_keys::change_operator_key, operator_keys::revoke_operator_key))
        .routes(routes!(operator_keys::roll_operator_key))
        .routes(routes!(audit_log::read_audit_log))
        .routes(routes!(grants::grant))
        .routes(routes!(adjustments::adjust_credits))
        .routes(routes!(refunds::refund_debit))
        .routes(routes!(purchases::refund_purchase))
        .routes(routes!(spending::set_spending_limit))
        .routes(routes!(terms::set_post_paid))
        .routes(routes!(terms::freeze))
        .routes(routes!(terms::unfreeze))
        .routes(routes!(closing::close))
        .routes(routes!(closing::reopen))
        .routes(routes!(prices::set_price))
        .routes(routes!(packages::set_package))
        .routes(routes!(plans::set_plan))
        .routes(routes!(rates::set_rate))
        .routes(routes!(rates::list_rates))
        .routes(routes!(roll_forward::roll_forward))
}
