//! Members of an organisation.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Actor, Amount, BudgetPeriod, Email, MemberId, MemberRole, OrgId, Reference};

/// A member as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The public id.
    pub member_id: MemberId,
    /// The organisation.
    pub org: OrgId,
    /// The address that was invited.
    pub email: Email,
    /// The member's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Reference>,
    /// What the member may do.
    pub role: MemberRole,
    /// Who invited the member.
    pub invited_by: Actor,
    /// When the member accepted the invitation.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub joined_at: DateTime<Utc>,
    /// When the member was removed.
    #[serde(with = "chrono::serde::ts_seconds_option", default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<DateTime<Utc>>,
    /// How often the member was changed.
    pub revision: u64,
}

/// How many credits a member may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MemberLimit {
    /// The credits of each period.
    pub credits: Amount,
    /// The period.
    pub period: BudgetPeriod,
}

/// Whether a member may act for the organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberStatus {
    /// The member may.
    Active,
    /// The member was removed.
    Removed,
}

/// A change of a member. What is `None` keeps its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberChange {
    /// The name.
    pub name: Option<Reference>,
    /// The role.
    pub role: Option<MemberRole>,
}

impl Member {
    /// Whether the member may act for the organisation.
    #[must_use]
    pub fn status(&self) -> MemberStatus {
        if self.removed_at.is_some() { MemberStatus::Removed } else { MemberStatus::Active }
    }

    /// Whether it is an owner who was not removed.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.role == MemberRole::Owner && self.status() == MemberStatus::Active
    }

    /// The member after a change.
    #[must_use]
    pub fn changed(self, change: MemberChange) -> Self {
        let MemberChange { name, role } = change;
        Self {
            name: name.or(self.name),
            role: role.unwrap_or(self.role),
            revision: self.revision.saturating_add(1),
            ..self
        }
    }

    /// The member after being removed at `now`.
    #[must_use]
    pub fn removed(self, now: DateTime<Utc>) -> Self {
        Self { removed_at: Some(now), revision: self.revision.saturating_add(1), ..self }
    }
}
