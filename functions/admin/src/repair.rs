use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{Account, AccountId, ClaimKey, Details, Mode, Receipt, Reference};
use scrip_http::{ApiError, App, Balance, Intent, Operator, Reply, Transaction};
use serde::{Deserialize, Serialize};
use store::{Claim, Rebuild, Rebuilt, Repaired, Unsettled};
use utoipa::ToSchema;

use super::broken::Unreadable;

/// Which ledger is to be repaired, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "reason": "`used` was edited by hand, see ticket 4711", "dryRun": true }))]
pub(super) struct RepairRequest {
    /// Which ledger: live, when left out, or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
    /// Stands in the record beside who.
    #[schema(value_type = String, max_length = 255)]
    reason: Reference,
    /// Only say what a repair would make of it.
    #[serde(default)]
    dry_run: bool,
}

/// A ledger that was repaired.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RepairMade {
    /// The line of the ledger that records the repair.
    transaction: Transaction,
    /// What the account holds, as its rows tell it.
    balance: Balance,
}

/// What a repair would make of a ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RepairPlan {
    dry_run: bool,
    /// What does not read.
    problems: Vec<Unreadable>,
    /// Transactions that have landed and whose rows a repair would write.
    missing_rows: usize,
    /// What the account would hold.
    balance: Balance,
}

/// Repairs a ledger whose account's record does not read. The account is rebuilt from the rows of its ledger, which
/// are held against their hash chain first; what no row tells, such as a freeze and the terms of lots, is kept as far
/// as it reads. The repair is a line of the ledger, `account.repair`, that moves nothing. A frozen account stays
/// frozen.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/repair",
    tag = "operator",
    params(
        ("id" = String, Path, description = "org_…"),
        ("Idempotency-Key" = String, Header, description = "Your name for this request"),
    ),
    request_body = RepairRequest,
    responses(
        (status = 200, body = RepairPlan, description = "With `dryRun`"),
        (status = 201, body = RepairMade),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: nothing to repair, or `details.problems` says why it can't be repaired"),
    ),
)]
pub(super) async fn repair_ledger(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    intent: Intent<RepairRequest>,
) -> Result<Reply, ApiError> {
    let RepairRequest { mode, reason, dry_run } = intent.body;
    let id = AccountId { org: super::organisation(id)?, mode: mode.unwrap_or(Mode::Live) };
    let moment = app.ledger.moment_of(id, operator.call.moment).await?;
    let details = Details {
        description: Some(reason),
        super_admin: Some(operator.key),
        request_id: Some(operator.call.id.to_string()),
        ..Details::default()
    };
    let key = ClaimKey::Operator(intent.key);
    let claim = Claim { key: &key, fingerprint: &intent.fingerprint, details: &details };
    if dry_run {
        return match app.ledger.rebuild(id, claim, moment.now).await? {
            Rebuild::Ready(rebuilt) => Reply::ok(&RepairPlan::from(*rebuilt)),
            other @ (Rebuild::Missing | Rebuild::Reads(_) | Rebuild::Impossible { .. }) => {
                Err(refused(other))
            }
        };
    }
    match app.ledger.repair(id, claim, moment).await? {
        Repaired::Made { receipt, replayed, damages, written } => {
            let damages: Vec<_> = damages.into_iter().map(|damage| damage.attribute).collect();
            tracing::warn!(account = %id, ?damages, written, replayed, "an account was repaired");
            Reply::created(&RepairMade::from(receipt.as_ref()), replayed)
        }
        Repaired::Not(rebuild) => Err(refused(rebuild)),
    }
}

fn refused(rebuild: Rebuild) -> ApiError {
    match rebuild {
        Rebuild::Missing => Unsettled::NoAccount.into(),
        Rebuild::Reads(_) | Rebuild::Ready(_) => {
            ApiError::Conflict("the account's record of this ledger reads; there is nothing to repair")
        }
        Rebuild::Impossible { problems, .. } => ApiError::NotRepairable(problems),
    }
}

impl From<&Receipt> for RepairMade {
    fn from(receipt: &Receipt) -> Self {
        Self { transaction: receipt.into(), balance: receipt.into() }
    }
}

impl From<Rebuilt> for RepairPlan {
    fn from(Rebuilt { damages, account, missing, .. }: Rebuilt) -> Self {
        Self {
            dry_run: true,
            problems: damages.into_iter().map(Unreadable::from).collect(),
            missing_rows: missing.len(),
            balance: balance(&account),
        }
    }
}

/// What an account holds after its last entry.
fn balance(account: &Account) -> Balance {
    let at = account.last.as_ref().map_or_else(|| account.period.start(), |last| last.at);
    Balance::new(&account.balance(at), account.sequence, at)
}
