//! How events go out to those who want them: one post at a time, to nobody but the public, whatever a
//! customer's URL or the name in it leads to. Knows no table, no caller and no time of its own.

mod metered;
mod resolver;
mod sender;
mod sent;

pub use resolver::{Resolve, SystemResolver};
pub use sender::{Limits, READ_BYTES_MAX, SENT_BYTES_MAX, Sender, TRIES_MAX};
pub use sent::{Forbidden, KEPT_BYTES_MAX, Reply, Sent, Trouble};
// What a sender for tests is made with.
pub use tokio_rustls::rustls::RootCertStore;
