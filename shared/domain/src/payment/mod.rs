//! Purchases, their payments and refunds, and auto-recharge.

mod auto_recharge;
mod auto_recharge_action;
mod auto_recharge_change;
mod provider_payment;
mod purchase;
mod reversal;

pub use auto_recharge::{BURST_MAX, Pause, Recharge, RechargeState};
pub use auto_recharge_action::Wish;
pub use auto_recharge_change::{BadRecharge, RechargeChange};
pub use provider_payment::{Decline, Payment, Standing};
pub use purchase::{
    BOUGHT_BY_RECHARGE, Cause, Dispute, Purchase, REPEATABLE_HOURS, Stage, Step, Verdict, may_buy,
};
pub use reversal::{RefundOrder, RefundState, RefundStep, Refunds, payment_restored};
