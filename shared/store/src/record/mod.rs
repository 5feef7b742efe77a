//! Records outside the ledger: exports, purchases, auto-recharge, monitors, and the daily cost of purchases.

pub(crate) mod exports;
pub(crate) mod monitors;
pub(crate) mod purchases;
pub(crate) mod spending;
pub(crate) mod spending_today;
pub(crate) mod unbooked;
