//! Limits on the number of lots, drawdowns, batch items, disputes and entries.

/// The number of lots that an account can have, besides one pool of plain purchased credits, which can always
/// be added to because they were paid for. Sixteen lots keep the account's item small, so that a debit costs
/// one small write.
pub const LOTS_MAX: usize = 16;

/// The number of lots with the same terms that an account can have. Further credits join the youngest of them,
/// so that one kind of credits never uses up all lots.
pub const LOTS_ALIKE_MAX: usize = 4;

/// The number of credits that an unlimited plan may spend in a month by default: 10^15. It is not a limit of
/// the plan; it keeps the account's counters within their range.
pub const PLAN_CAP: u64 = 1_000_000_000_000_000;

/// The highest value to which an operator can raise [`PLAN_CAP`], so that spent and remaining credits still fit
/// into one number.
pub const PLAN_CAP_MAX: u64 = 4_000_000_000_000_000;

/// The number of drawdowns from one transaction: captures of a hold, refunds of a debit. It keeps the
/// remainder's item small.
pub const DRAWDOWNS_MAX: usize = 100;

/// The number of items in a batch.
pub const BATCH_MAX: usize = 100;

/// The number of disputes that can be open on one account.
pub const DISPUTES_MAX: usize = 100;

/// The number of overdue entries (renewals, expiries) that one request writes: more than ten years of renewals.
/// An account that was idle for longer takes a second request.
pub const DUE_MAX: u32 = 160;
