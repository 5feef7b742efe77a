//! Jobs: work that falls due at a time, without a request: renewals, monitor charges, expiry, plan changes, and the
//! scheduled jobs that finish interrupted requests. Every job may run late, repeatedly and in any order.

mod account_due;
#[cfg(feature = "dispatch")]
mod budget;
#[cfg(feature = "dispatch")]
mod dispatch;
#[cfg(feature = "dispatch")]
mod fair_queue;
mod monitors;
mod month_values;
mod plan_follow;
mod price_drop;
#[cfg(feature = "projection")]
pub mod projection;
#[cfg(feature = "dispatch")]
mod provider_poll;
mod renewal_queue;
mod renewal_sweep;
#[cfg(test)]
mod renewal_sweep_tests;
mod roll_forward;
#[cfg(feature = "dispatch")]
mod shard_run;

use chrono::Duration;
use ports::{Queue, QueueError};

#[cfg(feature = "dispatch")]
pub use budget::{CALL_INTERVAL, CALL_OVERHEAD, JobBudget, LATE_TIME, POSTPONE_TIME, WORK_TIME, job_budget};
#[cfg(feature = "dispatch")]
pub use dispatch::Dispatcher;
pub use monitors::MonitorError;
pub use renewal_queue::RenewalTask;
#[cfg(feature = "dispatch")]
pub use shard_run::{LATE_JOBS, ShardRun};

use store::{Activity, Fault, Job, Ledger, Moment, Settings, Unsettled};

/// Runs jobs on the ledger.
#[derive(Clone, Copy)]
pub struct Jobs<'a> {
    /// The ledger.
    pub ledger: &'a Ledger,
    /// Prices, plans and organisations.
    pub settings: &'a Settings,
    /// Rollups, and what was derived from them.
    pub activity: &'a Activity,
    /// The renewal queue, for work that is too large for one call.
    pub tasks: &'a dyn Queue<RenewalTask>,
}

/// Why a task has to be retried.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A request was not settled.
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
    /// The store is unavailable.
    #[error(transparent)]
    Failed(#[from] Fault),
    /// The next task could not be sent.
    #[error(transparent)]
    Unsent(#[from] QueueError),
}

/// After how many seconds a scheduled job checks on a request that is starting. By then it has finished or crashed.
const CHECK_AFTER_SECONDS: i64 = 60;

impl Jobs<'_> {
    /// Schedules a job before a request starts, in case the process that handles the request crashes.
    ///
    /// # Errors
    /// When the table is unavailable.
    pub async fn schedule_check(&self, job: Job, moment: Moment) -> Result<(), Fault> {
        let wait = Duration::try_seconds(CHECK_AFTER_SECONDS).unwrap_or_default();
        let due = moment.now.checked_add_signed(wait).unwrap_or(moment.now);
        self.ledger.schedule(job, due).await.map(|_| ())
    }
}
