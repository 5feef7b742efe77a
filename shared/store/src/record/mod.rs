//! Records beside the ledger: purchases, auto-recharge, monitors, and what purchases of a day cost.

pub(crate) mod monitors;
pub(crate) mod purchases;
pub(crate) mod spending;
pub(crate) mod spending_today;
