//! Scopes: what an API key may do.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A permission of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Read the balance, lists and everything else.
    #[serde(rename = "credits:read")]
    CreditsRead,
    /// Spend credits.
    #[serde(rename = "credits:consume")]
    CreditsConsume,
    /// Buy credits.
    #[serde(rename = "credits:purchase")]
    CreditsPurchase,
    /// Refund credits.
    #[serde(rename = "credits:refund")]
    CreditsRefund,
    /// Change settings, webhooks and the subscription.
    #[serde(rename = "settings:write")]
    SettingsWrite,
    /// Manage members and keys.
    #[serde(rename = "team:write")]
    TeamWrite,
    /// Use the API on every plan, with or without API access.
    #[serde(rename = "dashboard")]
    Dashboard,
}

impl Scope {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreditsRead => "credits:read",
            Self::CreditsConsume => "credits:consume",
            Self::CreditsPurchase => "credits:purchase",
            Self::CreditsRefund => "credits:refund",
            Self::SettingsWrite => "settings:write",
            Self::TeamWrite => "team:write",
            Self::Dashboard => "dashboard",
        }
    }

    /// Every scope.
    pub const ALL: [Self; 7] = [
        Self::CreditsRead,
        Self::CreditsConsume,
        Self::CreditsPurchase,
        Self::CreditsRefund,
        Self::SettingsWrite,
        Self::TeamWrite,
        Self::Dashboard,
    ];

    /// The scopes of a key that is created without any: read and spend. Keys that buy, refund or change
    /// settings must be created with these scopes.
    #[must_use]
    pub fn default_scopes() -> BTreeSet<Self> {
        [Self::CreditsRead, Self::CreditsConsume].into()
    }
}
