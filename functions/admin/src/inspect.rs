//! The state of an organisation and its two ledgers.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{AccountId, Mode, OrgId};
use scrip_http::{ApiError, App, BalanceView, Id, Operator, OrganisationView, PathId, Reply, duty};
use serde::Serialize;
use store::{Inspected, Moment};
use utoipa::ToSchema;

use super::broken::Unreadable;

/// An organisation, with the state of its ledgers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrganisationDetails {
    #[serde(flatten)]
    organisation: OrganisationView,
    /// Whether an operator has frozen it; null if that cannot be read from its live ledger.
    frozen: Option<bool>,
    ledgers: LedgerStates,
}

/// The two ledgers of an organisation.
#[derive(Serialize, ToSchema)]
#[schema(as = Ledgers)]
struct LedgerStates {
    live: LedgerState,
    test: LedgerState,
}

/// The state of a ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LedgerState {
    /// `ok`; `broken` if its account's record cannot be read, and customers get 503 RECORD_UNREADABLE until it is
    /// repaired; `missing` if there is no record.
    #[schema(example = "ok")]
    state: &'static str,
    /// Whether an operator has frozen it; null if that cannot be read.
    frozen: Option<bool>,
    /// The attributes that cannot be read.
    problems: Vec<Unreadable>,
    /// The balance; null if the record cannot be read.
    balance: Option<BalanceView>,
    /// The last transaction up to which all rows exist. The projector writes the later ones.
    rows_through: u64,
    /// The last transaction up to which the organisation was notified and usage counted.
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
    operator: Operator<duty::Reading>,
    Path(org): Path<Id<OrgId>>,
) -> Result<Reply, ApiError> {
    let org = org.found()?;
    let known = app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    let moment = operator.call.moment;
    let live = ledger(&app, AccountId { org, mode: Mode::Live }, moment).await?;
    let test = ledger(&app, AccountId { org, mode: Mode::Test }, moment).await?;
    Reply::ok(&OrganisationDetails {
        organisation: OrganisationView::from(known),
        frozen: live.frozen,
        ledgers: LedgerStates { live, test },
    })
}

async fn ledger(app: &App, id: AccountId, moment: Moment) -> Result<LedgerState, ApiError> {
    let now = app.ledger.moment_of(id, moment).await?.now;
    let inspected = app.ledger.inspect(id).await?;
    let mark = app.ledger.projected_through(id).await?;
    let (state, frozen, problems, balance) = match inspected {
        Inspected::Missing => ("missing", None, vec![], None),
        Inspected::Broken { damages, frozen } => ("broken", frozen, damages, None),
        Inspected::Reads(account) => {
            let balance = BalanceView::new(&account.balance(now), account.sequence, now);
            ("ok", Some(account.frozen), vec![], Some(balance))
        }
    };
    Ok(LedgerState {
        state,
        frozen,
        problems: problems.into_iter().map(Unreadable::from).collect(),
        balance,
        rows_through: mark.through(),
        notified_through: mark.notified_through(),
    })
}
