//! Closing organisations. A closed organisation keeps its ledger; its keys are refused, and nothing is charged.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::OrgId;
use scrip_http::{ApiError, App, Id, Once, Operator, OrganisationView, PathId, ReasonRequest, Reply, duty};

use super::terms::{Freeze, set_frozen_both};

/// Closes an organisation: both its ledgers are frozen, and its API keys are refused from then on (403
/// ORGANISATION_FROZEN). Its ledger, keys and settings are kept, and operators may still read them.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/close",
    tag = "operator",
    params(("id" = String, Path, description = "org_…")),
    request_body = ReasonRequest,
    responses((status = 200, body = OrganisationView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn close(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Customers>,
    Path(org): Path<Id<OrgId>>,
    Once { body: why, .. }: Once<ReasonRequest>,
) -> Result<Reply, ApiError> {
    let org = org.found()?;
    let known = app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    operator.call.was(&OrganisationView::from(known))?;
    // Closed before it is frozen: a simultaneous unfreeze sees that it is closed, or is done before this freezes.
    let closed =
        app.settings.set_closed(org, Some(operator.call.moment.now)).await?.ok_or(OrgId::NOT_FOUND)?;
    set_frozen_both(&app, &operator, org, Freeze { frozen: true, reason: &why.reason, step: "close" })
        .await?;
    Reply::ok(&OrganisationView::from(closed))
}

/// Opens a closed organisation again. It stays frozen until it is unfrozen.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/reopen",
    tag = "operator",
    params(("id" = String, Path, description = "org_…")),
    request_body = ReasonRequest,
    responses((status = 200, body = OrganisationView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn reopen(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Customers>,
    Path(org): Path<Id<OrgId>>,
    Once { body: why, .. }: Once<ReasonRequest>,
) -> Result<Reply, ApiError> {
    let org = org.found()?;
    let known = app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    let was_closed = known.closed_at.is_some();
    operator.call.was(&OrganisationView::from(known))?;
    if was_closed {
        // The request that closed it may have ended before it froze it.
        set_frozen_both(&app, &operator, org, Freeze { frozen: true, reason: &why.reason, step: "reopen" })
            .await?;
    }
    let open = app.settings.set_closed(org, None).await?;
    Reply::ok(&OrganisationView::from(open.ok_or(OrgId::NOT_FOUND)?))
}
