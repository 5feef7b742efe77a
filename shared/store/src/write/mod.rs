//! The write path: claims, the conditional write of an account, rows, and every operation that moves credits.

pub(crate) mod budgeted;
pub(crate) mod change_request;
pub(crate) mod claim;
pub(crate) mod commit;
pub(crate) mod complete;
pub(crate) mod dedupe;
pub(crate) mod drawdown;
pub(crate) mod drawdown_request;
pub(crate) mod ended_holds;
pub(crate) mod expression;
pub(crate) mod in_doubt;
pub(crate) mod open_charges;
pub(crate) mod prepare;
pub(crate) mod record;
pub(crate) mod refund;
pub(crate) mod remainders;
pub(crate) mod row_backlog;
pub(crate) mod settle;
pub(crate) mod spend;
