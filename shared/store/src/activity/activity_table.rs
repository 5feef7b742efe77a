//! The activity table.

use aws_sdk_dynamodb::Config;

use crate::table::requests::Table;

/// Webhooks, their deliveries, rollups, records of lots and monthly statements: one table, without a stream. No credits depend on it.
#[derive(Debug)]
pub struct Activity {
    pub(crate) table: Table,
}

impl Activity {
    /// Activity kept in `table`.
    #[must_use]
    pub fn new(config: &Config, table: impl Into<String>) -> Self {
        Self { table: Table::new(config, table) }
    }
}
