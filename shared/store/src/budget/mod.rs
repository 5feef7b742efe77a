//! Budgets: their definitions, their counters, teams, and requests for larger ones.

pub(crate) mod budget_requests;
pub(crate) mod changes;
pub(crate) mod counter_item;
pub(crate) mod counters;
pub(crate) mod definitions;
pub(crate) mod reached;
pub(crate) mod teams;
