//! The switches of an organisation.

use std::sync::Arc;

use axum::extract::State;
use domain::{Mode, OrgId, OrganisationSwitches, RunawayAction, SwitchesChange};
use scrip_http::{ApiError, App, Caller, Once, PathId, Reply, may};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A change of the switches. Fields that are left out or null keep their values.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "requireKnownMembers": true, "runawayKeys": "pause" }))]
pub(super) struct OrganizationSettingsChange {
    /// Whether a `memberId` of a request that charges or holds credits must be the id of a present member (`mem_…`).
    require_known_members: Option<bool>,
    /// Whether larger budgets may be asked for.
    budget_requests: Option<bool>,
    /// What is done about an API key that spends far more than it used to: off, announce (the event key.runaway) or pause
    /// (also pauses the key until a person resumes it).
    #[schema(value_type = Option<String>)]
    runaway_keys: Option<RunawayAction>,
}

/// What an organisation has switched on or off, for its live and its test ledger.
#[derive(Serialize, ToSchema)]
#[schema(as = OrganizationSettings)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({ "requireKnownMembers": false, "budgetRequests": true, "runawayKeys": "announce" }))]
struct OrganizationSettingsView {
    /// Whether a `memberId` of a request that charges or holds credits must be the id of a present member (`mem_…`).
    require_known_members: bool,
    /// Whether larger budgets may be asked for.
    budget_requests: bool,
    /// What is done about an API key that spends far more than it used to: off, announce or pause.
    #[schema(value_type = String)]
    runaway_keys: RunawayAction,
}

impl From<OrganisationSwitches> for OrganizationSettingsView {
    fn from(switches: OrganisationSwitches) -> Self {
        let OrganisationSwitches { require_known_members, budget_requests, runaway_keys } = switches;
        Self { require_known_members, budget_requests, runaway_keys }
    }
}

/// Returns what the organisation has switched on or off.
#[utoipa::path(
    get,
    path = "/api/v3/organization-settings",
    tag = "settings",
    responses((status = 200, body = OrganizationSettingsView)),
)]
pub(super) async fn read_organization_settings(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
) -> Result<Reply, ApiError> {
    let organisation = app.settings.organisation(caller.account.org, caller.call.moment.wall).await?;
    let switches = organisation.ok_or(OrgId::NOT_FOUND)?.switches();
    Reply::ok(&OrganizationSettingsView::from(switches))
}

/// Switches something on or off, for the live and the test ledger. Other functions notice it within 5 seconds. A test key may
/// read the switches and not change them.
#[utoipa::path(
    patch,
    path = "/api/v3/organization-settings",
    tag = "settings",
    request_body = OrganizationSettingsChange,
    responses(
        (status = 200, body = OrganizationSettingsView),
        (status = 403, description = "INSUFFICIENT_PERMISSIONS: also for a test key"),
    ),
)]
pub(super) async fn change_organization_settings(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Once { body, .. }: Once<OrganizationSettingsChange>,
) -> Result<Reply, ApiError> {
    let org = caller.account.org;
    if caller.account.mode == Mode::Test {
        let words = "these switches are of the organisation and not of its test ledger; use a live key";
        return Err(ApiError::wrong_side(words));
    }
    let known = app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    caller.call.was(&OrganizationSettingsView::from(known.switches()))?;
    let OrganizationSettingsChange { require_known_members, budget_requests, runaway_keys } = body;
    let change = SwitchesChange { require_known_members, budget_requests, runaway_keys };
    let changed = app.settings.change_switches(org, change).await?.ok_or(OrgId::NOT_FOUND)?;
    Reply::ok(&OrganizationSettingsView::from(changed.switches()))
}
