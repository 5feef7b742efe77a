//! What follows when an endpoint does not accept an event, as its owner sets and sees it.

use domain::{ATTEMPTS_MAX, OnFailure};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ApiError;

/// What follows when the endpoint does not accept an event.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "action": "skip", "afterAttempts": 5 }))]
pub struct OnFailureSetting {
    /// `block`: later events wait; after ten attempts, in three days, the webhook is paused. `skip`: the event is skipped
    /// after `afterAttempts` attempts and the next event is sent.
    action: FailureAction,
    /// For `skip`: the number of attempts, 1 to 10; 10 if left out. Retries come after 5 s, 5 min, 30 min, 2, 5, 10, 14, 20
    /// and 24 h, and a failing endpoint skips every event after as many: with 5, one that fails for less than two hours
    /// skips none.
    #[schema(minimum = 1, maximum = 10)]
    after_attempts: Option<u32>,
}

/// What follows when an endpoint does not accept an event.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OnFailure, example = json!({ "action": "skip", "afterAttempts": 5 }))]
#[serde(rename_all = "camelCase")]
pub struct OnFailureView {
    /// block or skip.
    action: FailureAction,
    /// The number of attempts after which an event is skipped; null for block.
    after_attempts: Option<u32>,
}

/// What happens to an event that an endpoint does not accept.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum FailureAction {
    Block,
    Skip,
}

impl OnFailureSetting {
    /// The rule, or which field is wrong.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] for a number of attempts that a rule cannot have.
    pub fn rule(self) -> Result<OnFailure, ApiError> {
        const FIELD: &str = "onFailure.afterAttempts";
        match (self.action, self.after_attempts) {
            (FailureAction::Block, None) => Ok(OnFailure::Block),
            (FailureAction::Block, Some(_)) => {
                Err(ApiError::field(FIELD, "must be left out with the action block"))
            }
            (FailureAction::Skip, attempts) => OnFailure::skip_after(attempts.unwrap_or(ATTEMPTS_MAX))
                .ok_or_else(|| ApiError::field(FIELD, "must be a whole number from 1 to 10")),
        }
    }
}

impl From<OnFailure> for OnFailureView {
    fn from(rule: OnFailure) -> Self {
        match rule {
            OnFailure::Block => Self { action: FailureAction::Block, after_attempts: None },
            OnFailure::Skip { after_attempts } => {
                Self { action: FailureAction::Skip, after_attempts: Some(after_attempts) }
            }
        }
    }
}
