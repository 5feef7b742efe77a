//! The months that have a statement.

use domain::{AccountId, Period};
use serde::Serialize;
use utoipa::ToSchema;

/// A month that has a statement.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = MonthlyStatementLine)]
pub struct StatementLine {
    /// The month.
    #[schema(value_type = String, example = "2024-01")]
    month: Period,
    /// The number of its statement.
    number: String,
    /// Where the statement is.
    path: String,
}

impl StatementLine {
    /// The line of a closed month of an account.
    #[must_use]
    pub fn of(account: AccountId, month: Period) -> Self {
        let path = format!("/api/v3/credits/statements/{month}");
        Self { month, number: account.statement_number(month), path }
    }
}
