use domain::AccountId;
use serde::{Deserialize, Serialize};

/// A message for the function `recharge`: check the auto-recharge of an account. A message that comes twice, late or
/// for nothing does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RechargeRequest {
    /// Whose auto-recharge: `org_…#live`.
    pub account: AccountId,
}
