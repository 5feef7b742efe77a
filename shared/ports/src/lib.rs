//! Ports: traits for what lies outside the process, and the values that cross them. Knows no SDK and no table.

mod clock;
mod event_bus;
mod files;
mod mail;
mod queue;
mod random;
mod seal;

pub use clock::{Clock, Moment, SUBSECOND_DIGITS, SystemClock};
pub use event_bus::{Bus, BusEvent, EventOwner, NoBus, PublishError};
pub use files::{FileError, FileStore, LinkTerms, NoFiles, StoredFile};
pub use mail::{Mail, MailError, Mailer};
pub use queue::{NoQueue, Queue, QueueError};
pub use random::{NoRandomness, random, secret_bytes};
pub use seal::{NoSeal, Seal, SealError, SealFailure, SecretOf};
