//! Repairs of ledgers whose account cannot be read.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{Account, AccountId, ClaimKey, Details, Mode, OrgId, Receipt, Reference};
use scrip_http::{
    ApiError, App, BalanceView, Id, IdempotencyHeader, Idempotent, Operator, Reply, TransactionView, duty,
};
use serde::{Deserialize, Serialize};
use store::{Claim, Rebuild, Rebuilt, Repaired, Unsettled};
use utoipa::ToSchema;

use super::broken::Unreadable;

/// A repair to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "reason": "`used` was edited by hand, see ticket 4711", "dryRun": true }))]
pub(super) struct RepairRequest {
    /// The ledger: live (default) or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
    /// The reason, recorded with the operator's key.
    #[schema(value_type = String, max_length = 255)]
    reason: Reference,
    /// Only describe the repair.
    #[serde(default)]
    dry_run: bool,
}

/// A repaired ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RepairMade {
    /// The transaction that records the repair.
    transaction: TransactionView,
    /// The balance, computed from the rows.
    balance: BalanceView,
}

/// What a repair would do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RepairPlan {
    dry_run: bool,
    /// The attributes that cannot be read.
    problems: Vec<Unreadable>,
    /// The number of settled transactions whose rows the repair would write.
    missing_rows: usize,
    /// The balance that the account would have.
    balance: BalanceView,
}

/// Repairs a ledger whose account's record cannot be read. The account is rebuilt from the rows of its ledger, after they
/// are verified against their hash chain. What no row has, such as a freeze and the terms of lots, is kept as far as it
/// can be read. The transaction `account.repair` records the repair and moves no credits. A frozen account stays frozen.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/repair",
    tag = "operator",
    params(
        ("id" = String, Path, description = "org_…"),
        IdempotencyHeader,
    ),
    request_body = RepairRequest,
    responses(
        (status = 200, body = RepairPlan, description = "With `dryRun`"),
        (status = 201, body = RepairMade),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: nothing to repair, or `details.problems` says why a repair is impossible"),
    ),
)]
pub(super) async fn repair_ledger(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Customers>,
    Path(org): Path<Id<OrgId>>,
    intent: Idempotent<RepairRequest>,
) -> Result<Reply, ApiError> {
    let RepairRequest { mode, reason, dry_run } = intent.body;
    let id = AccountId { org: org.found()?, mode: mode.unwrap_or(Mode::Live) };
    operator.call.is_about(id);
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
            ApiError::Conflict("the account's record can be read; there is nothing to repair")
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

/// The balance of an account after its last transaction.
fn balance(account: &Account) -> BalanceView {
    let at = account.last.as_ref().map_or_else(|| account.period.start(), |last| last.at);
    BalanceView::new(&account.balance(at), account.sequence, at)
}
