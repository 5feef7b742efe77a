use domain::{AccountId, Reference};
use scrip_http::{ApiError, App, Operator};
use serde::Serialize;
use store::{Damage, Unsettled};
use utoipa::ToSchema;

/// An attribute of a stored item that does not read.
#[derive(Serialize, ToSchema)]
pub(super) struct Unreadable {
    /// The attribute as the table has it.
    #[schema(example = "used")]
    attribute: String,
    /// Why it does not read.
    problem: String,
}

impl From<Damage> for Unreadable {
    fn from(Damage { attribute, problem }: Damage) -> Self {
        Self { attribute, problem }
    }
}

/// Stops an account whose item does not read, or has it go on. That is no entry of its ledger, for what the account
/// holds is not known; the log has it.
pub(super) async fn set_frozen(
    app: &App,
    operator: &Operator,
    id: AccountId,
    (frozen, reason): (bool, &Reference),
) -> Result<(), ApiError> {
    if !app.ledger.set_frozen_unread(id, frozen).await? {
        return Err(Unsettled::NoAccount.into());
    }
    let (operator, request) = (operator.key, &operator.call.id);
    tracing::warn!(account = %id, frozen, %operator, %request, reason = reason.as_str(), "an account that does not read was frozen or unfrozen");
    Ok(())
}
