//! Purchases, their payments and refunds, and auto-recharge.

mod auto_recharge;
mod auto_recharge_action;
mod auto_recharge_change;
mod provider_payment;
mod purchase;
mod reversal;

pub use auto_recharge::{AutoRecharge, AutoRechargeState, BURST_MAX, PauseReason};
pub use auto_recharge_action::AutoRechargeAction;
pub use auto_recharge_change::{AutoRechargeUpdate, BadAutoRecharge};
pub use provider_payment::{Decline, Payment, PaymentStatus};
pub use purchase::{
    BOUGHT_BY_AUTO_RECHARGE, Dispute, Purchase, PurchaseCause, PurchaseDecision, PurchaseStatus,
    PurchaseStep, REPEATABLE_HOURS, may_buy,
};
pub use reversal::{RefundOrder, RefundState, RefundStep, Refunds, payment_restored};
