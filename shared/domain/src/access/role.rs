//! Roles of operators, and what each may do.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Scope;

/// The role of an operator's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperatorRole {
    /// Reads everything.
    Read,
    /// Reads, and helps customers: their organisations, keys, freezes and refunds of debits.
    Support,
    /// Does what support does, and moves credits and money: grants, adjustments, limits, plans, refunds of purchases.
    Money,
    /// Reads, and changes the catalogue.
    Catalogue,
    /// Does everything, also with the keys of operators.
    Owner,
}

/// What an operator's request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Duty {
    /// Reading.
    Reading,
    /// Helping customers.
    Customers,
    /// Moving credits and money.
    Money,
    /// Changing the catalogue.
    Catalogue,
    /// Managing the keys of operators, and reading what they did.
    Operators,
}

impl OperatorRole {
    /// Every role, by rising rights.
    pub const ALL: [Self; 5] = [Self::Read, Self::Support, Self::Money, Self::Catalogue, Self::Owner];

    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Support => "support",
            Self::Money => "money",
            Self::Catalogue => "catalogue",
            Self::Owner => "owner",
        }
    }

    /// Whether it may make a request that needs this.
    #[must_use]
    pub fn may(self, duty: Duty) -> bool {
        match self {
            Self::Read => duty == Duty::Reading,
            Self::Support => matches!(duty, Duty::Reading | Duty::Customers),
            Self::Money => matches!(duty, Duty::Reading | Duty::Customers | Duty::Money),
            Self::Catalogue => matches!(duty, Duty::Reading | Duty::Catalogue),
            Self::Owner => true,
        }
    }

    /// What it may do when it acts for an organisation.
    #[must_use]
    pub fn scopes(self) -> BTreeSet<Scope> {
        let read = [Scope::CreditsRead];
        // Settings decide what is charged: plans, auto-recharge.
        let support = [Scope::CreditsRefund, Scope::TeamWrite];
        let money = [Scope::CreditsConsume, Scope::CreditsPurchase, Scope::SettingsWrite];
        match self {
            Self::Read | Self::Catalogue => read.into(),
            Self::Support => read.into_iter().chain(support).collect(),
            Self::Money => read.into_iter().chain(support).chain(money).collect(),
            Self::Owner => Scope::ALL.into(),
        }
    }

    /// The roles that may make a request that needs this, for the message of a refusal.
    pub(super) fn with(duty: Duty) -> String {
        Self::named(|role| role.may(duty))
    }

    /// The roles that have a scope when they act for an organisation, for the message of a refusal.
    pub(super) fn with_scope(scope: Scope) -> String {
        Self::named(|role| role.scopes().contains(&scope))
    }

    fn named(is_able: impl Fn(Self) -> bool) -> String {
        let able = Self::ALL.into_iter().filter(|role| is_able(*role));
        able.map(|role| format!("`{}`", role.as_str())).collect::<Vec<_>>().join(" or ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_its_duties_and_no_others() {
        let all = [Duty::Reading, Duty::Customers, Duty::Money, Duty::Catalogue, Duty::Operators];
        for (role, expected) in [
            (OperatorRole::Read, &[Duty::Reading][..]),
            (OperatorRole::Support, &[Duty::Reading, Duty::Customers]),
            (OperatorRole::Money, &[Duty::Reading, Duty::Customers, Duty::Money]),
            (OperatorRole::Catalogue, &[Duty::Reading, Duty::Catalogue]),
            (OperatorRole::Owner, &all),
        ] {
            let duties: Vec<_> = all.into_iter().filter(|duty| role.may(*duty)).collect();
            assert_eq!(duties, expected, "{role:?}");
        }
        assert_eq!(OperatorRole::with(Duty::Money), "`money` or `owner`");
        assert_eq!(OperatorRole::with_scope(Scope::TeamWrite), "`support` or `money` or `owner`");
    }

    #[test]
    fn a_role_acts_with_the_scopes_of_its_duties() {
        for role in OperatorRole::ALL {
            let scopes = role.scopes();
            assert!(scopes.contains(&Scope::CreditsRead), "{role:?}");
            let money = [Scope::CreditsConsume, Scope::CreditsPurchase, Scope::SettingsWrite];
            assert_eq!(money.map(|scope| scopes.contains(&scope)), [role.may(Duty::Money); 3], "{role:?}");
            let team = [Scope::CreditsRefund, Scope::TeamWrite];
            assert_eq!(team.map(|scope| scopes.contains(&scope)), [role.may(Duty::Customers); 2], "{role:?}");
            assert_eq!(scopes.contains(&Scope::Dashboard), role == OperatorRole::Owner);
        }
    }
}
