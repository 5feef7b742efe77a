//! The webhook inbox of the machine: receives webhooks at `/_local/inbox/{any}` and shows them.

mod page;
mod received;
mod routes;

pub(crate) use received::Inbox;
pub(crate) use routes::routes;
