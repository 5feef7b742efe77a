//! What simultaneous requests get: every one of them the right answer.

mod api;
mod bounds;
mod budgets;
mod closing;
mod drawdowns;
mod keys;
mod members;
mod processes;
mod revocation;
mod settings;
mod slow_answers;
mod store;
mod webhooks;
