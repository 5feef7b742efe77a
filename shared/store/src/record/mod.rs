//! Records outside the ledger: purchases, auto-recharge, monitors, and the daily cost of purchases.

pub(crate) mod monitors;
pub(crate) mod purchases;
pub(crate) mod spending;
pub(crate) mod spending_today;
pub(crate) mod unbooked;
