//! The activity table: webhooks, their deliveries, rollups, records of lots, monthly statements, and
//! values of months.

pub(crate) mod activity_table;
pub(crate) mod lots;
pub(crate) mod month_values;
pub(crate) mod monthly_statements;
pub(crate) mod rollup_reads;
pub(crate) mod rollups;
mod webhook_register;
pub(crate) mod webhooks;
