//! How many there may be: lots, parts, items, disputes, credits of an unlimited plan.

/// How many lots an account keeps apart, besides one of plain purchased credits, which always finds a
/// place because it is paid for. Sixteen keep the account's item a small one, so that a debit costs
/// what one small write costs.
pub const LOTS_MAX: usize = 16;

/// How many lots on the same terms an account keeps apart; what arrives beyond them joins the
/// youngest, so that one kind of credits never takes all places.
pub const LOTS_ALIKE_MAX: usize = 4;

/// How many credits an unlimited plan may spend in a month unless an operator says otherwise: 10^15. It is no
/// limit of the plan; it keeps the account's counters within their range.
pub const PLAN_CAP: u64 = 1_000_000_000_000_000;

/// The most that an operator may raise [`PLAN_CAP`] to, so that what was spent and what is there still fit into
/// one number together.
pub const PLAN_CAP_MAX: u64 = 4_000_000_000_000_000;

/// How often credits are drawn from one transaction at most: a hold captured in as many parts, a debit
/// refunded in as many. It keeps what is remembered of it a small item.
pub const DRAWS_MAX: usize = 100;

/// Items of a batch at most.
pub const BATCH_MAX: usize = 100;

/// How many disputes of one account may be open at once.
pub const DISPUTES_MAX: usize = 100;

/// How many entries one request writes down at most for what time has done: ten years of renewals and
/// some. An account that was idle for longer takes a second request.
pub const DUE_MAX: u32 = 160;
