//! Whose spending a budget limits.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::value::ids::digest;
use crate::{BudgetLevel, Reference};

/// Whose spending a budget limits: a level and, except for the organisation, the id of one of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BudgetSubject {
    /// The level.
    pub level: BudgetLevel,
    /// The team, member, key, customer, service or operation; `None` for the organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Reference>,
}

impl BudgetSubject {
    /// The organisation as a whole.
    pub const ORGANISATION: Self = Self { level: BudgetLevel::Organisation, id: None };

    /// A part of the organisation. Names are compared in one Unicode form, so that equal names are one part.
    #[must_use]
    pub fn part(level: BudgetLevel, id: &Reference) -> Self {
        let composed = Reference::try_from(id.composed()).unwrap_or_else(|_| id.clone());
        Self { level, id: Some(composed) }
    }

    /// Its key in a table: at most 600 bytes. Longer ids are represented by a digest.
    #[must_use]
    pub fn key(&self) -> String {
        let text = self.to_string();
        if text.len() <= 600 {
            return text;
        }
        let digest = digest(&text).map(|byte| format!("{byte:02x}")).concat();
        format!("{}##{digest}", self.level.as_str())
    }

    /// A part whose id has a format of its own, such as a key.
    pub(super) fn named(level: BudgetLevel, id: impl Into<String>) -> Self {
        Self { level, id: Reference::try_from(id.into()).ok() }
    }
}

impl fmt::Display for BudgetSubject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(out, "{}#{}", self.level.as_str(), id.as_str()),
            None => out.write_str(self.level.as_str()),
        }
    }
}
