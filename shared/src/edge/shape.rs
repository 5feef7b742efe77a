mod balance;
mod transaction;

pub use balance::{AsOf, Balance, Expiring, PostPaid};
pub use transaction::{BatchItem, NextAction, PlanShift, RefundMade, SourceShare, Transaction};
