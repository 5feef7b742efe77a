//! Webhooks out: what an organisation is told, as it goes over the wire. Knows no table, no caller and no
//! time of its own.

mod body;
pub mod header;
mod signature;

pub use body::{Envelope, body};
pub use signature::{Message, NotVerified, Unsigned, headers, verify};
