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
pub use change_plan::{Subscribe, SubscribeCause, subscribe};
pub use consume::{Consume, consume};
pub use dispute::{Bought, dispute_lost, dispute_opened, dispute_won, payment_refunded};
pub use drawdown::{Draw, Drawdown, Landed, Misfit, NotTaken, Order, Portion, Pot};
pub use fence::fence;
pub use grant::{Grant, Origin, grant};
pub use hold::{HOLD_SECONDS, HOLD_SECONDS_MAX, capture, hold, hold_ends};
pub use monitor::{Monitor, OnBehalf, Subject, Suspension, Watch, Watched, charge_month};
pub use refund::{Decides, REFUND_DAYS, Refund, SETTLE_DAYS_MAX, Twin};
pub use renewal::{due, renewal_id};
pub use restore::{GiveBack, RETURNED_DAYS, give_back};
pub use terms::{set_cap, set_frozen, set_limit};
