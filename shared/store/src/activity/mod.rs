//! The activity table: webhooks, their deliveries, and usage.

pub(crate) mod activity_table;
pub(crate) mod usage;
mod webhook_register;
pub(crate) mod webhooks;
