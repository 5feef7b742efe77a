//! The rules of each operation, one file per operation.

mod adjustment;
mod batch;
mod change_plan;
pub(crate) mod consume;
mod dispute;
mod drawdown;
mod fence;
pub(crate) mod grant;
pub(crate) mod hold;
mod monitor;
pub(crate) mod place;
mod refund;
pub(crate) mod renewal;
mod restore;
mod shortage;
mod terms;
mod with_due;

pub use adjustment::{Adjustment, adjust};
pub use batch::{Batch, batch};
pub use change_plan::{ChangePlan, ChangePlanCause, change_plan};
pub use consume::{Consume, consume};
pub use dispute::{PurchasedCredits, dispute_lost, dispute_opened, dispute_won, payment_refunded};
pub use drawdown::{
    DrawOrder, Drawdown, DrawdownError, DrawdownMismatch, DrawdownShares, LateDrawdown, PendingDrawdown,
    Remainder,
};
pub use fence::fence;
pub use grant::{Grant, GrantOrigin, grant};
pub use hold::{HOLD_SECONDS, HOLD_SECONDS_MAX, capture, hold, hold_ends};
pub use monitor::{
    Monitor, MonitorAttribution, MonitorKey, MonitorStatus, MonitorSubject, SuspensionReason, charge_month,
};
pub use refund::{DuplicateOf, REFUND_DAYS, Refund, RefundAuthority, SETTLE_DAYS_MAX};
pub use renewal::{due, renewal_id};
pub use restore::{RESTORED_DAYS, Restore, restore};
pub use terms::{set_cap, set_frozen, set_limit};
