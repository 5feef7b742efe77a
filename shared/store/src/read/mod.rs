//! Reads of a ledger: statements, balances of the past, the plan history, and projected accounts.

pub(crate) mod balance_at;
mod held_credits;
pub(crate) mod list_price;
pub(crate) mod missed;
pub(crate) mod month_purchases;
pub(crate) mod plan_history;
pub(crate) mod projected_account;
mod record_index;
pub(crate) mod records;
pub(crate) mod statement;
