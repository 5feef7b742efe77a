//! Accounts whose stored item cannot be read.

use domain::{AccountId, Reference};
use scrip_http::{ApiError, App, OperatorCall};
use serde::Serialize;
use store::{Damage, Unsettled};
use utoipa::ToSchema;

/// An attribute of a stored item that cannot be read.
#[derive(Serialize, ToSchema)]
pub(super) struct Unreadable {
    /// The attribute's name in the table.
    #[schema(example = "used")]
    attribute: String,
    /// Why it cannot be read.
    problem: String,
}

impl From<Damage> for Unreadable {
    fn from(Damage { attribute, problem }: Damage) -> Self {
        Self { attribute, problem }
    }
}

/// Freezes or unfreezes an account whose item cannot be read. Its balance is unknown, so no transaction records the change;
/// the log does.
pub(super) async fn set_frozen(
    app: &App,
    operator: &OperatorCall,
    id: AccountId,
    frozen: bool,
    reason: &Reference,
) -> Result<(), ApiError> {
    if !app.ledger.set_frozen_unread(id, frozen).await? {
        return Err(Unsettled::NoAccount.into());
    }
    let (operator, request) = (operator.key, &operator.call.id);
    tracing::warn!(account = %id, frozen, %operator, %request, reason = reason.as_str(), "an unreadable account was frozen or unfrozen");
    Ok(())
}
