mod audit;
mod balance;
mod transaction;

pub use audit::{Audit, AuditCheckpoint, AuditProblem, AuditRow, AuditTip, Proof};
pub use balance::{AsOf, Balance, Expiring, PostPaid};
pub use transaction::{BatchItem, Booked, NextAction, PlanShift, RefundMade, SourceShare, Transaction};
