use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use domain::AccountId;

/// Wakes auto-recharge. A wake says only "look at this account": one that comes twice, late or for
/// nothing does no harm.
#[async_trait]
pub trait Wakes: Send + Sync {
    /// Has the function `recharge` look at an account soon.
    ///
    /// # Errors
    /// [`Asleep`].
    async fn wake(&self, account: AccountId) -> Result<(), Asleep>;
}

/// What a message of the queue says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// Whose auto-recharge: `org_…#live`.
    pub account: AccountId,
}

/// The queue did not take a wake.
#[derive(Debug, thiserror::Error)]
#[error("the queue did not take a message: {0}")]
pub struct Asleep(pub String);
