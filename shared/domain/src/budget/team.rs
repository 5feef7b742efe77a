//! Teams: named groups of members that share a budget.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Reference, TeamId};

/// A named group of members. A member is in one team at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its name.
    pub name: Reference,
    /// Its members: the ids that requests send as `memberId`.
    pub members: TeamMembers,
    /// When it was created.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created_at: DateTime<Utc>,
}

/// The members of a team, each in one Unicode form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TeamMembers(BTreeSet<Reference>);

impl TeamMembers {
    /// The maximum number of members of a team.
    pub const MAX: usize = 200;

    /// The members of a team; `None` when there are too many.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = Reference>) -> Option<Self> {
        let composed = |member: Reference| Reference::try_from(member.composed()).unwrap_or(member);
        let members: BTreeSet<_> = members.into_iter().map(composed).collect();
        (members.len() <= Self::MAX).then_some(Self(members))
    }

    /// The members, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter()
    }

    /// Whether a member is one of them.
    #[must_use]
    pub fn contains(&self, member: &Reference) -> bool {
        self.0.contains(member)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
