use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use domain::{AccountId, Allowance, Mode};
use scrip_http::{ApiError, App, Balance, Operator, Reply, instant};
use serde::Serialize;
use store::{Inspected, Moment};
use utoipa::ToSchema;

use super::broken::Unreadable;

/// An organisation as operators see it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrganisationDetails {
    organisation_id: String,
    name: String,
    plan: String,
    /// Credits a month; null when there is no limit.
    allowance: Option<u64>,
    currency: &'static str,
    /// Whether its own keys may move it to a dearer plan.
    self_service_plans: bool,
    /// Whether an operator has stopped it; null where its live ledger does not read so far.
    frozen: Option<bool>,
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    ledgers: Ledgers,
}

/// Its two ledgers.
#[derive(Serialize, ToSchema)]
struct Ledgers {
    live: LedgerState,
    test: LedgerState,
}

/// How a ledger stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LedgerState {
    /// `ok`; `broken` when its account's record does not read: customers get 503 RECORD_UNREADABLE until it is
    /// repaired; `missing` when there is no record.
    #[schema(example = "ok")]
    state: &'static str,
    /// Whether an operator has stopped it; null where that does not read.
    frozen: Option<bool>,
    /// What does not read; empty when all does.
    problems: Vec<Unreadable>,
    /// What it holds; null where its record does not read.
    balance: Option<Balance>,
    /// Through which transaction all rows exist. The projector is on its way to those after it.
    rows_through: u64,
    /// Through which transaction the owner was notified and usage counted.
    notified_through: u64,
}

/// Returns an organisation, its balances, and whether its ledgers can be read.
#[utoipa::path(
    get,
    path = "/admin/v1/organisations/{id}",
    tag = "operator",
    params(("id" = String, Path, description = "org_…")),
    responses((status = 200, body = OrganisationDetails), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn get_organisation(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Reply, ApiError> {
    let org = super::organisation(id)?;
    let known = app.settings.organisation(org).await?.ok_or(super::NO_ORGANISATION)?;
    let moment = operator.call.moment;
    let live = ledger(&app, AccountId { org, mode: Mode::Live }, moment).await?;
    let test = ledger(&app, AccountId { org, mode: Mode::Test }, moment).await?;
    Reply::ok(&OrganisationDetails {
        organisation_id: org.to_string(),
        name: known.name,
        plan: known.plan.0,
        allowance: match known.allowance {
            Allowance::Monthly(credits) => Some(credits.get()),
            Allowance::Unlimited => None,
        },
        currency: known.currency.code(),
        self_service_plans: known.self_service_plans,
        frozen: live.frozen,
        created_at: known.created_at,
        ledgers: Ledgers { live, test },
    })
}

async fn ledger(app: &App, id: AccountId, moment: Moment) -> Result<LedgerState, ApiError> {
    let now = app.ledger.moment_of(id, moment).await?.now;
    let inspected = app.ledger.inspect(id).await?;
    let mark = app.ledger.followed(id, u64::MAX).await?;
    let (state, frozen, problems, balance) = match inspected {
        Inspected::Missing => ("missing", None, vec![], None),
        Inspected::Broken { damages, frozen } => ("broken", frozen, damages, None),
        Inspected::Reads(account) => {
            let balance = Balance::new(&account.balance(now), account.sequence, now);
            ("ok", Some(account.frozen), vec![], Some(balance))
        }
    };
    Ok(LedgerState {
        state,
        frozen,
        problems: problems.into_iter().map(Unreadable::from).collect(),
        balance,
        rows_through: mark.through(),
        notified_through: mark.followed(),
    })
}
