//! The levels that budgets limit, and an account's mark of its budgets.

use serde::{Deserialize, Serialize};

/// What a budget limits: all spending of an organisation, or that of one of its parts. In the order in which a refusal
/// names the first level without room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetLevel {
    /// Everything.
    Organisation,
    /// The members of a team.
    Team,
    /// A member.
    Member,
    /// An API key.
    Key,
    /// A customer of the organisation.
    Customer,
    /// A service.
    Service,
    /// An operation.
    Operation,
}

/// An account's mark of its budgets: at which levels there are some, and how often they were changed. Every change of a
/// budget changes the mark, so a debit that requires the mark was decided on the present budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BudgetMark(u64);

/// The number of bits of a mark that name levels.
const LEVEL_BITS: u32 = 8;

impl BudgetLevel {
    /// All levels, the widest first.
    pub const ALL: [Self; 7] = [
        Self::Organisation,
        Self::Team,
        Self::Member,
        Self::Key,
        Self::Customer,
        Self::Service,
        Self::Operation,
    ];

    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Team => "team",
            Self::Member => "member",
            Self::Key => "key",
            Self::Customer => "customer",
            Self::Service => "service",
            Self::Operation => "operation",
        }
    }

    fn bit(self) -> u64 {
        match self {
            Self::Organisation => 1,
            Self::Team => 2,
            Self::Member => 4,
            Self::Key => 8,
            Self::Customer => 16,
            Self::Service => 32,
            Self::Operation => 64,
        }
    }
}

impl BudgetMark {
    /// Whether there are budgets at a level, or were since the first one.
    #[must_use]
    pub fn has(self, level: BudgetLevel) -> bool {
        self.0 & level.bit() != 0
    }

    /// Whether a member's team matters.
    #[must_use]
    pub fn has_teams(self) -> bool {
        self.has(BudgetLevel::Team)
    }

    /// The mark after a change of budgets at a level.
    #[must_use]
    pub fn changed(self, level: BudgetLevel) -> Self {
        let changes = self.0.unbounded_shr(LEVEL_BITS).saturating_add(1);
        let levels = self.0 & 0xff;
        Self(changes.unbounded_shl(LEVEL_BITS) | levels | level.bit())
    }

    /// The number that is stored; 0 for an account that never had a budget.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_changes_the_mark_and_levels_stay() {
        let mut mark = BudgetMark::default();
        let mut seen = vec![mark];
        for level in BudgetLevel::ALL.into_iter().chain(BudgetLevel::ALL) {
            mark = mark.changed(level);
            assert!(mark.has(level) && !seen.contains(&mark), "{level:?}");
            seen.push(mark);
        }
        assert!(BudgetLevel::ALL.into_iter().all(|level| mark.has(level)));
        assert_eq!(mark.get(), 14 << 8 | 127);
        let one = BudgetMark::default().changed(BudgetLevel::Customer);
        assert_eq!(BudgetLevel::ALL.into_iter().filter(|level| one.has(*level)).count(), 1);
    }
}
