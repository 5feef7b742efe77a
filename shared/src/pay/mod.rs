//! Money in: what is asked of the companies that take it. The only room that names one of them.

mod disputes;
mod provider;
mod queue;
mod recharge;
mod till;

pub use crate::domain::{Decline, Payment, PaymentId, PurchaseId, Standing};
pub use provider::{CustomerId, DisputeId, Event, Order, Outcome, Provider, Refused, Silence};
pub use queue::{Asleep, Wakes};
pub use till::Till;
