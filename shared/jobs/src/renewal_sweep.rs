//! The monthly renewal sweep: renews every account, including those without requests.
//!
//! The directory of accounts has shards. Each shard has one chain of tasks: a task renews one page of accounts, records
//! the step and sends the next task. If a worker crashes, its message is delivered again, or the hourly sweep restarts
//! the chain after the recorded step. Two chains in one shard merge into one, because only one of two workers that record
//! the same step continues.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use ports::Queue;

use super::{JobError, Jobs, RenewalTask};
use domain::Period;
use store::{DIRECTORY_SHARDS, DirectoryEntry, Fault, Job, Moment, SweepProgress, Unsettled};

/// The maximum number of accounts in one task: a few seconds of work.
const PAGE: i32 = 200;

/// Over how many seconds the starts of the chains are spread, so that requests have priority in the first minutes of a
/// month. SQS delays a message by at most 15 minutes.
const SPREAD_SECONDS: u16 = 900;

/// The renewal of a month in one shard of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ShardRenewal {
    pub(super) month: Period,
    pub(super) shard: u8,
}

/// The accounts that a sweep renews. Tests replace the ledger's directory by one in memory.
#[async_trait]
pub(super) trait RenewalDirectory: Send + Sync {
    /// The progress in one shard.
    ///
    /// # Errors
    /// When the store is unavailable.
    async fn progress(&self, renewal: ShardRenewal) -> Result<SweepProgress, Fault>;

    /// The next accounts of a shard, at most `limit`, and whether they are the last.
    ///
    /// # Errors
    /// When the store is unavailable.
    async fn page(
        &self,
        shard: u8,
        progress: SweepProgress,
        limit: i32,
    ) -> Result<(Vec<DirectoryEntry>, bool), Fault>;

    /// Renews one account.
    ///
    /// # Errors
    /// When the account could neither be renewed nor be scheduled for later.
    async fn renew(&self, listed: DirectoryEntry) -> Result<(), JobError>;

    /// Records a step. Returns false when another worker has recorded it.
    ///
    /// # Errors
    /// When the store is unavailable.
    async fn record_step(&self, renewal: ShardRenewal, next: SweepProgress) -> Result<bool, Fault>;
}

/// Starts the sweep of a month, or restarts it in each shard that is not finished. Returns the number of those shards.
pub(super) async fn start(
    directory: &dyn RenewalDirectory,
    tasks: &dyn Queue<RenewalTask>,
    month: Period,
) -> Result<u8, JobError> {
    let mut started = 0u8;
    for shard in 0..DIRECTORY_SHARDS {
        if !directory.progress(ShardRenewal { month, shard }).await?.done {
            tasks.send(&RenewalTask::Round { month, shard }, start_delay(shard)).await?;
            started = started.saturating_add(1);
        }
    }
    Ok(started)
}

/// The start delay of a shard's chain, in seconds.
fn start_delay(shard: u8) -> u16 {
    let share = SPREAD_SECONDS.checked_div(DIRECTORY_SHARDS.into()).unwrap_or(0);
    share.saturating_mul(shard.into())
}

/// Renews one page of accounts and sends the next task.
pub(super) async fn renew_page(
    directory: &dyn RenewalDirectory,
    tasks: &dyn Queue<RenewalTask>,
    renewal: ShardRenewal,
    now: DateTime<Utc>,
) -> Result<(), JobError> {
    let ShardRenewal { month, shard } = renewal;
    let early = month.start().signed_duration_since(now).num_seconds();
    if now < month.start() {
        // This host's clock is behind the scheduler's. No account is renewed early.
        let wait = u16::try_from(early.saturating_add(1)).unwrap_or(SPREAD_SECONDS).min(SPREAD_SECONDS);
        return Ok(tasks.send(&RenewalTask::Round { month, shard }, wait).await?);
    }
    let progress = directory.progress(renewal).await?;
    if progress.done {
        return Ok(());
    }
    let (page, is_last) = directory.page(shard, progress, PAGE).await?;
    for listed in &page {
        directory.renew(*listed).await?;
    }
    let after = page.last().map(|last| last.account).or(progress.after);
    let is_ours = directory.record_step(renewal, SweepProgress { after, done: is_last, ..progress }).await?;
    if is_ours && !is_last {
        tasks.send(&RenewalTask::Round { month, shard }, 0).await?;
    }
    Ok(())
}

/// The ledger's directory at one moment.
struct LedgerDirectory<'a> {
    jobs: Jobs<'a>,
    moment: Moment,
}

impl Jobs<'_> {
    /// Starts the renewal sweep of a month, or restarts it in each shard that is not finished. Returns the number of those
    /// shards.
    ///
    /// # Errors
    /// When the store or the queue is unavailable.
    pub async fn start_renewal_sweep(&self, month: Period, moment: Moment) -> Result<u8, JobError> {
        start(&LedgerDirectory { jobs: *self, moment }, self.tasks, month).await
    }

    /// Runs one task of the renewal queue.
    ///
    /// # Errors
    /// When the store or the queue is unavailable; the task should then be retried.
    pub async fn run_task(&self, task: RenewalTask, moment: Moment) -> Result<(), JobError> {
        match task {
            RenewalTask::Round { month, shard } => {
                let directory = LedgerDirectory { jobs: *self, moment };
                renew_page(&directory, self.tasks, ShardRenewal { month, shard }, moment.now).await
            }
            RenewalTask::Waiting { shard, after } => self.retry_page(shard, after).await,
            RenewalTask::RollForward { month, shard } => {
                Box::pin(self.roll_forward_page(month, shard, moment)).await
            }
            RenewalTask::Monitors { account, after } => {
                Box::pin(self.charge_monitors(account, after, moment)).await
            }
        }
    }
}

#[async_trait]
impl RenewalDirectory for LedgerDirectory<'_> {
    async fn progress(&self, ShardRenewal { month, shard }: ShardRenewal) -> Result<SweepProgress, Fault> {
        self.jobs.ledger.sweep_progress(month, shard).await
    }

    async fn page(
        &self,
        shard: u8,
        progress: SweepProgress,
        limit: i32,
    ) -> Result<(Vec<DirectoryEntry>, bool), Fault> {
        self.jobs.ledger.directory_page(shard, progress.after, limit).await
    }

    async fn renew(&self, DirectoryEntry { account, monitored }: DirectoryEntry) -> Result<(), JobError> {
        let own = self.jobs.ledger.moment_of(account, self.moment).await?;
        match self.jobs.ledger.catch_up(account, own).await {
            // An account in the directory may not have been created yet.
            Ok(_) | Err(Unsettled::NoAccount) => (),
            // One account must not delay the others.
            Err(unsettled) => {
                tracing::warn!(%account, cause = %unsettled, "an account could not be renewed; a job is scheduled for it");
                self.jobs.ledger.schedule(Job::Calendar(account), own.now).await?;
            }
        }
        if monitored {
            self.jobs.tasks.send(&RenewalTask::Monitors { account, after: None }, 0).await?;
        }
        Ok(())
    }

    async fn record_step(
        &self,
        ShardRenewal { month, shard }: ShardRenewal,
        next: SweepProgress,
    ) -> Result<bool, Fault> {
        self.jobs.ledger.save_sweep_progress(month, shard, next).await
    }
}
