//! Events of an account: their feed, and the alerts that write into it.

pub(crate) mod alerts;
pub(crate) mod feed;
pub(crate) mod outbox;
pub(crate) mod watch;
