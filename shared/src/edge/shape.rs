mod balance;
mod transaction;

pub use balance::{AsOf, Balance, Expiring, PostPaid};
pub use transaction::{NextAction, PlanShift, SourceShare, Transaction};
