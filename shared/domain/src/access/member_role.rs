//! Roles of members: what a member of an organisation may do.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Denial, Scope};

/// The role of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// Everything. An organisation that has an owner always has one.
    Owner,
    /// Everything that a key may do.
    Admin,
    /// Read, buy credits and change settings.
    Billing,
    /// Read and spend credits.
    Member,
    /// Read.
    Viewer,
}

impl MemberRole {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Admin, Self::Billing, Self::Member, Self::Viewer];

    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Billing => "billing",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }

    /// The scopes of the role. None has `dashboard`, which is about keys.
    #[must_use]
    pub fn scopes(self) -> BTreeSet<Scope> {
        match self {
            Self::Owner | Self::Admin => {
                Scope::ALL.into_iter().filter(|scope| *scope != Scope::Dashboard).collect()
            }
            Self::Billing => [Scope::CreditsRead, Scope::CreditsPurchase, Scope::SettingsWrite].into(),
            Self::Member => [Scope::CreditsRead, Scope::CreditsConsume].into(),
            Self::Viewer => [Scope::CreditsRead].into(),
        }
    }

    /// Whether a caller with the scopes `own` may give this role to a member, or change or end the membership of one who
    /// has it: only if it has every scope of the role. Otherwise a key could make a member with more rights than it has.
    ///
    /// # Errors
    /// [`Denial::CannotGiveRole`] with the first scope that the caller lacks.
    pub fn is_within(self, own: &BTreeSet<Scope>) -> Result<(), Denial> {
        let lacking = self.scopes().difference(own).next().copied();
        lacking.map_or(Ok(()), |scope| Err(Denial::CannotGiveRole(self, scope)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_its_scopes() {
        const ALL: &str =
            "credits:read credits:consume credits:purchase credits:refund settings:write team:write";
        for (role, scopes) in [
            ("owner", ALL),
            ("admin", ALL),
            ("billing", "credits:read credits:purchase settings:write"),
            ("member", "credits:read credits:consume"),
            ("viewer", "credits:read"),
        ] {
            let known: MemberRole = serde_json::from_str(&format!("\"{role}\"")).unwrap();
            assert_eq!(known.as_str(), role);
            let words: Vec<_> = known.scopes().into_iter().map(Scope::as_str).collect();
            assert_eq!(words.join(" "), scopes, "{role}");
        }
        assert_eq!(MemberRole::ALL.len(), 5);
    }

    #[test]
    fn a_caller_gives_no_role_with_a_scope_that_it_lacks() {
        for own in MemberRole::ALL {
            for given in MemberRole::ALL {
                let may = given.is_within(&own.scopes()).is_ok();
                assert_eq!(may, given.scopes().is_subset(&own.scopes()), "{own:?} gives {given:?}");
            }
        }
        let own = [Scope::TeamWrite].into();
        let denied = Err(Denial::CannotGiveRole(MemberRole::Viewer, Scope::CreditsRead));
        assert_eq!(MemberRole::Viewer.is_within(&own), denied);
    }
}
