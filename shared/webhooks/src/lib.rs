//! Webhooks out: how what has happened reaches customers, and what it looks like on the wire. Knows no table, no
//! caller and no time of its own.

mod body;
mod courier;
mod delivery_request;
pub mod header;
mod metered;
mod resolver;
mod samples;
mod sender;
mod sending;
mod sent;
mod signature;
mod told;

pub use body::{Envelope, body};
pub use courier::{Courier, Now};
pub use delivery_request::DeliveryRequest;
pub use resolver::{Resolve, SystemResolver};
pub use samples::{sample, schema};
pub use sender::{Limits, READ_BYTES_MAX, SENT_BYTES_MAX, Sender, TRIES_MAX};
pub use sent::{Forbidden, KEPT_BYTES_MAX, Reply, Sent, Trouble};
pub use signature::{Message, NotVerified, Unsigned, headers, verify};
pub use told::Told;
// What a sender for tests is made with.
pub use tokio_rustls::rustls::RootCertStore;
