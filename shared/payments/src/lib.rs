//! Payments: checkout, payment providers, refunds, disputes and auto-recharge. The only crate that names a payment
//! provider.

mod auto_recharge;
mod checkout;
mod deadline;
mod disputes;
mod provider;
mod providers;
mod recharge_request;
mod refunds;
pub mod simulated;
mod stripe;

pub use checkout::{Checkout, SpendingToday};
pub use deadline::{Deadline, PURCHASE_TIME};
pub use domain::{Decline, Payment, PaymentId, PaymentStatus, PurchaseId};
pub use provider::{
    ChargeOrder, CustomerId, DisputeId, DisputeOutcome, EventRejected, MoneyRefund, NoAnswer, Provider,
    ProviderDispute, ProviderEvent, RefundAnswer, Reversals,
};
pub use providers::{NoProvider, Providers};
pub use recharge_request::RechargeRequest;
pub use simulated::Simulated;
pub use stripe::{Misconfigured, Stripe, StripeConfig, StripeSecrets};
pub use stripe::{TOLERANCE_SECONDS, sign, verify};
