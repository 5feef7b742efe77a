//! Budgets: limits of what an organisation and its parts may spend in a period.

mod book;
mod counter;
mod definition;
mod period;
mod request;
mod spending;
mod subject;
mod team;

pub use book::{BudgetBook, BudgetCharge, BudgetCharges, SubjectBudgets};
pub use counter::{BudgetCounter, CounterStep, OPEN_MAX, OpenCharge};
pub use definition::{
    BadBudget, Budget, BudgetAction, BudgetChange, BudgetFilter, BudgetRaise, RAISES_MAX, THRESHOLDS_MAX,
};
pub use period::{BudgetPeriod, BudgetTime};
pub use request::{BudgetRequest, BudgetRequestStatus, RaiseEnd};
pub use spending::Spending;
pub use subject::BudgetSubject;
pub use team::{Team, TeamMembers};
