//! The activity table: webhooks, their deliveries, and rollups.

pub(crate) mod activity_table;
pub(crate) mod rollup_reads;
pub(crate) mod rollups;
mod webhook_register;
pub(crate) mod webhooks;
