//! Webhooks out: how what has happened reaches customers, and what it looks like on the wire. Knows no table, no
//! caller and no time of its own.

mod body;
pub mod header;
mod metered;
mod resolver;
mod sender;
mod sent;
mod signature;

pub use body::{Envelope, body};
pub use resolver::{Resolve, SystemResolver};
pub use sender::{Limits, READ_BYTES_MAX, SENT_BYTES_MAX, Sender, TRIES_MAX};
pub use sent::{Forbidden, KEPT_BYTES_MAX, Reply, Sent, Trouble};
pub use signature::{Message, NotVerified, Unsigned, headers, verify};
// What a sender for tests is made with.
pub use tokio_rustls::rustls::RootCertStore;
