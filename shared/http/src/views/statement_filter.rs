//! Filters of transactions that several routes take.

use domain::{Direction, StatementQuery};
use serde::Deserialize;

/// Transactions by their kind: a debit is usage, a credit is a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CategoryFilter {
    /// Credits.
    Purchase,
    /// Debits.
    Usage,
}

/// Transactions by how they are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StatusFilter {
    /// Those that are not owed.
    Approved,
    /// Debits that are partly owed.
    PostPaid,
}

impl CategoryFilter {
    fn direction(self) -> Direction {
        match self {
            Self::Usage => Direction::Debit,
            Self::Purchase => Direction::Credit,
        }
    }
}

/// A query for transactions of both `type` and `category`; `None` if these exclude each other.
#[must_use]
pub fn of_kind(
    query: StatementQuery,
    direction: Option<Direction>,
    category: Option<CategoryFilter>,
) -> Option<StatementQuery> {
    let category = category.map(CategoryFilter::direction);
    let excluded = direction.is_some() && category.is_some() && direction != category;
    (!excluded).then_some(StatementQuery { direction: direction.or(category), ..query })
}
