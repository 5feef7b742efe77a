//! The message of the recharge queue.

use domain::AccountId;
use serde::{Deserialize, Serialize};

/// A message for the function `recharge`: check the auto-recharge of an account. A message that is repeated, late or
/// unnecessary does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RechargeRequest {
    /// The account: `org_…#live`.
    pub account: AccountId,
}
