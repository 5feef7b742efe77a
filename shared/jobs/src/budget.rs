//! The budgets of scheduled jobs: how many jobs of a kind run at the same time, and for how long.

use std::time::Duration;

use chrono::TimeDelta;
use store::JobKind;

/// How often each shard is called. The schedule is in `functions/reconcile/function.yaml`.
pub const CALL_INTERVAL: TimeDelta = TimeDelta::seconds(60);

/// For how long one call starts jobs. The next call begins after that, so it finds at most the jobs that still run.
pub const WORK_TIME: TimeDelta = TimeDelta::seconds(50);

/// How long a call may take to begin, and to postpone a job that timed out.
pub const CALL_OVERHEAD: TimeDelta = TimeDelta::seconds(15);

/// By how much a job that failed is postponed.
pub const POSTPONE_TIME: TimeDelta = TimeDelta::seconds(120);

/// How late a job may begin before [`LATE_JOBS`](super::LATE_JOBS) is logged.
pub const LATE_TIME: TimeDelta = TimeDelta::seconds(180);

/// The budget of one kind of job in one call of one shard. Kinds do not share budgets, so a slow one delays no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobBudget {
    /// How many jobs run at the same time.
    pub at_once: usize,
    /// How many of them may belong to one account.
    pub per_account: usize,
    /// After how long a job is given up and postponed.
    pub timeout: Duration,
}

/// The budget of a kind.
#[must_use]
pub fn job_budget(kind: JobKind) -> JobBudget {
    let budget = |at_once, per_account, seconds| JobBudget {
        at_once,
        per_account,
        timeout: Duration::from_secs(seconds),
    };
    match kind {
        // These call a payment provider. The timeout is below the lease on a purchase: after that, another process may
        // work on the purchase.
        JobKind::Purchase | JobKind::Recharge => budget(16, 1, 28),
        // Closes up to two hundred holds.
        JobKind::Calendar => budget(32, 1, 20),
        JobKind::Remainder => budget(16, 4, 10),
        JobKind::Monitor => budget(8, 4, 10),
        JobKind::Plan => budget(8, 1, 10),
        JobKind::Webhooks => budget(16, 1, 5),
        // Sends a message.
        JobKind::Export => budget(16, 4, 5),
        // Reads a slice of rows after the other, until its own time is over.
        JobKind::Projection => budget(8, 1, 28),
    }
}
