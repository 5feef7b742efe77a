//! Money in: what is asked of the companies that take it. The only room that names one of them.

mod disputes;
mod event;
mod intent;
mod provider;
mod providers;
mod recharge;
mod recharge_request;
mod refunds;
mod returns;
mod signature;
pub mod simulated;
mod spending;
mod stripe;
mod telling;
mod till;

pub use domain::{Decline, Payment, PaymentId, PurchaseId, Standing};
pub use provider::{
    CustomerId, DisputeId, Disputed, Event, MoneyRefund, Order, Outcome, Provider, RefundAnswer, Refused,
    Reversals, Silence,
};
pub use providers::{NotConfigured, Providers};
pub use recharge_request::RechargeRequest;
pub use signature::{TOLERANCE_SECONDS, sign, verify};
pub use simulated::Simulated;
pub use stripe::{Misconfigured, Stripe, StripeConfig, StripeSecrets};
pub use till::Till;
