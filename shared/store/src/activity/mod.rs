//! The activity table: webhooks, their deliveries, and rollups.

pub(crate) mod activity_table;
pub(crate) mod rollups;
pub(crate) mod usage;
mod webhook_register;
pub(crate) mod webhooks;
