//! The keys of the items of budgets, in the ledger's table.

use crate::table::key::Key;
use domain::{AccountId, BudgetId, BudgetRequestId, BudgetSubject, TeamId};

/// The key of an item of budgets.
pub(crate) enum BudgetKey<'a> {
    /// `BUDGETS#<org>#<mode>` / `R`: how many budgets and teams an account has, and its mark of them.
    Register(AccountId),
    /// `BUDGETS#<org>#<mode>` / `S#<level>#<id>`: the budgets of one subject, and the team of a member.
    Subject(AccountId, &'a BudgetSubject),
    /// `BUDGETS#<org>#<mode>` / `I#<ulid>`: the subject of a budget, to find it by its id.
    Place(AccountId, BudgetId),
    /// `BUDGETS#<org>#<mode>` / `T#<ulid>`: a team.
    Team(AccountId, TeamId),
    /// `BUDGETS#<org>#<mode>` / `Q#<ulid>`: a request for a larger budget.
    Request(AccountId, BudgetRequestId),
    /// `BUDGET#<org>#<mode>#<ulid>` / `B`: how much of a budget is used.
    Counter(AccountId, BudgetId),
}

impl BudgetKey<'_> {
    /// The partition key and the sort key.
    pub(crate) fn place(&self) -> (String, String) {
        match self {
            Self::Register(account) => (budget_partition(*account), "R".to_owned()),
            Self::Subject(account, subject) => {
                (budget_partition(*account), format!("{BUDGET_SUBJECTS}{}", subject.key()))
            }
            Self::Place(account, budget) => (budget_partition(*account), format!("I#{}", budget.bare())),
            Self::Team(account, team) => (budget_partition(*account), format!("{TEAMS}{}", team.bare())),
            Self::Request(account, request) => {
                (budget_partition(*account), format!("{BUDGET_REQUESTS}{}", request.bare()))
            }
            Self::Counter(account, budget) => (format!("BUDGET#{account}#{}", budget.bare()), "B".to_owned()),
        }
    }
}

impl<'a> Key<'a> {
    /// The key of the register of an account's budgets.
    pub(crate) fn budget_register(account: AccountId) -> Self {
        Self::Budget(BudgetKey::Register(account))
    }

    /// The key of the budgets of a subject.
    pub(crate) fn budget_subject(account: AccountId, subject: &'a BudgetSubject) -> Self {
        Self::Budget(BudgetKey::Subject(account, subject))
    }

    /// The key of the item that names the subject of a budget.
    pub(crate) fn budget_place(account: AccountId, budget: BudgetId) -> Self {
        Self::Budget(BudgetKey::Place(account, budget))
    }

    /// The key of a team.
    pub(crate) fn team(account: AccountId, team: TeamId) -> Self {
        Self::Budget(BudgetKey::Team(account, team))
    }

    /// The key of a request for a larger budget.
    pub(crate) fn budget_request(account: AccountId, request: BudgetRequestId) -> Self {
        Self::Budget(BudgetKey::Request(account, request))
    }

    /// The key of the counter of a budget.
    pub(crate) fn budget_counter(account: AccountId, budget: BudgetId) -> Self {
        Self::Budget(BudgetKey::Counter(account, budget))
    }
}

/// The partition with the budgets, the teams and the requests for larger budgets of an account.
pub(crate) fn budget_partition(account: AccountId) -> String {
    format!("BUDGETS#{account}")
}

/// The sort keys of subjects with budgets begin with this.
pub(crate) const BUDGET_SUBJECTS: &str = "S#";

/// The sort keys of teams begin with this.
pub(crate) const TEAMS: &str = "T#";

/// The sort keys of requests for larger budgets begin with this.
pub(crate) const BUDGET_REQUESTS: &str = "Q#";
