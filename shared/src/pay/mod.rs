//! Money in: what is asked of the companies that take it. The only room that names one of them.

mod event;
mod intent;
mod provider;
mod providers;
mod queue;
mod signature;
pub mod simulated;
mod sqs;

pub use provider::{
    CustomerId, Decline, DisputeId, Event, Order, Outcome, Payment, PaymentId, Provider, PurchaseId,
    REPEATABLE_HOURS, Refused, Silence, Standing,
};
pub use providers::{NotConfigured, Providers};
pub use queue::{Asleep, Wakes};
pub use signature::{TOLERANCE_SECONDS, sign, verify};
pub use simulated::Simulated;
pub use sqs::{NoQueue, Queue, Sqs};
