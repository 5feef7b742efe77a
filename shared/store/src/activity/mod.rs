//! The activity table: webhooks, their deliveries, rollups, and records of lots.

pub(crate) mod activity_table;
pub(crate) mod lots;
pub(crate) mod rollup_reads;
pub(crate) mod rollups;
mod webhook_register;
pub(crate) mod webhooks;
