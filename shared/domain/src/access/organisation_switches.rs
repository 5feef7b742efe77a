//! What an organisation has switched on or off for all its ledgers.

use serde::{Deserialize, Serialize};

/// The switches of an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrganisationSwitches {
    /// Whether a `memberId` of a request must be the id of a present member.
    pub require_known_members: bool,
    /// Whether larger budgets may be asked for.
    pub budget_requests: bool,
    /// What is done about an API key that spends far more than it used to.
    pub runaway_keys: RunawayAction,
}

/// What is done about an API key that spends far more than it used to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunawayAction {
    /// Nothing.
    Off,
    /// An event is sent.
    #[default]
    Announce,
    /// An event is sent and the key is paused.
    Pause,
}

impl Default for OrganisationSwitches {
    fn default() -> Self {
        Self { require_known_members: false, budget_requests: true, runaway_keys: RunawayAction::default() }
    }
}

/// A change of the switches. What is `None` keeps its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchesChange {
    /// Whether a `memberId` of a request must be the id of a present member.
    pub require_known_members: Option<bool>,
    /// Whether larger budgets may be asked for.
    pub budget_requests: Option<bool>,
    /// What is done about an API key that spends far more than it used to.
    pub runaway_keys: Option<RunawayAction>,
}
