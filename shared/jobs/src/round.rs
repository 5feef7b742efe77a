//! A month's round: every account's month is turned, whether or not anybody has asked for it.
//!
//! The directory has many parts. In each part one chain of tasks goes from page to page: a task turns the
//! months of a page of accounts, notes the step, and sends the next task. Whoever dies on the way leaves
//! a message that comes again, or a step that was noted and not followed, which the hourly sweep finds.
//! Two chains in one part become one: of two who make the same step, one goes on.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use ports::Queue;

use super::{Calendar, Task, Unfinished};
use domain::Period;
use store::{Errand, Fault, Listed, Moment, Progress, SHARDS, Unsettled};

/// How many accounts one task goes past: some seconds' work.
const PAGE: i32 = 200;

/// Over how many seconds the beginnings of the chains are spread, so that the first minutes of a month
/// belong to callers. A queue holds a message back for at most 15 minutes.
const SPREAD_SECONDS: u16 = 900;

/// What a round goes through, and what it does to each account.
#[async_trait]
pub trait Register: Send + Sync {
    /// How far it is in one part.
    ///
    /// # Errors
    /// When the store does not serve.
    async fn progress(&self, month: Period, shard: u8) -> Result<Progress, Fault>;

    /// The accounts of a part that follow, at most `limit`, and whether they are its last.
    ///
    /// # Errors
    /// When the store does not serve.
    async fn page(&self, shard: u8, progress: Progress, limit: i32) -> Result<(Vec<Listed>, bool), Fault>;

    /// Turns the month of one account.
    ///
    /// # Errors
    /// When neither this nor noting it for later could be done.
    async fn turn(&self, listed: Listed) -> Result<(), Unfinished>;

    /// Notes a step; false when somebody else has made it.
    ///
    /// # Errors
    /// When the store does not serve.
    async fn step(&self, month: Period, shard: u8, next: Progress) -> Result<bool, Fault>;
}

/// Begins the round of a month, or goes on with it wherever it is not through; in how many parts.
///
/// # Errors
/// When the store or the queue does not serve.
pub async fn begin(
    register: &dyn Register,
    tasks: &dyn Queue<Task>,
    month: Period,
) -> Result<u8, Unfinished> {
    let mut begun = 0u8;
    for shard in 0..SHARDS {
        if !register.progress(month, shard).await?.done {
            tasks.send(&Task::Round { month, shard }, wait_of(shard)).await?;
            begun = begun.saturating_add(1);
        }
    }
    Ok(begun)
}

/// How many seconds the chain of a part waits.
fn wait_of(shard: u8) -> u16 {
    let share = SPREAD_SECONDS.checked_div(SHARDS.into()).unwrap_or(0);
    share.saturating_mul(shard.into())
}

/// One task of a round: a page of accounts.
///
/// # Errors
/// When the store or the queue does not serve; the task should then come again.
pub async fn go_on(
    register: &dyn Register,
    tasks: &dyn Queue<Task>,
    (month, shard): (Period, u8),
    now: DateTime<Utc>,
) -> Result<(), Unfinished> {
    let early = month.start().signed_duration_since(now).num_seconds();
    if now < month.start() {
        // This host's clock is behind the scheduler's. Nothing is turned before its time.
        let wait = u16::try_from(early.saturating_add(1)).unwrap_or(SPREAD_SECONDS).min(SPREAD_SECONDS);
        return Ok(tasks.send(&Task::Round { month, shard }, wait).await?);
    }
    let progress = register.progress(month, shard).await?;
    if progress.done {
        return Ok(());
    }
    let (page, is_last) = register.page(shard, progress, PAGE).await?;
    for listed in &page {
        register.turn(*listed).await?;
    }
    let after = page.last().map(|last| last.account).or(progress.after);
    let is_ours = register.step(month, shard, Progress { after, done: is_last, ..progress }).await?;
    if is_ours && !is_last {
        tasks.send(&Task::Round { month, shard }, 0).await?;
    }
    Ok(())
}

/// The ledger's own directory, at one moment.
struct Books<'a>(Calendar<'a>, Moment);

impl Calendar<'_> {
    /// Begins the round of a month, or goes on with it; in how many parts of the directory.
    ///
    /// # Errors
    /// When the store or the queue does not serve.
    pub async fn begin_round(&self, month: Period, moment: Moment) -> Result<u8, Unfinished> {
        begin(&Books(*self, moment), self.tasks, month).await
    }

    /// Does one task.
    ///
    /// # Errors
    /// When the store or the queue does not serve; the task should then come again.
    pub async fn perform(&self, task: Task, moment: Moment) -> Result<(), Unfinished> {
        match task {
            Task::Round { month, shard } => {
                go_on(&Books(*self, moment), self.tasks, (month, shard), moment.now).await
            }
            Task::Waiting { shard, after } => self.retry_page(shard, after).await,
            // A charge is a long way down, so its future is kept off the stack.
            Task::Monitors { account, after } => Box::pin(self.charge_monitors(account, after, moment)).await,
        }
    }
}

#[async_trait]
impl Register for Books<'_> {
    async fn progress(&self, month: Period, shard: u8) -> Result<Progress, Fault> {
        self.0.ledger.round(month, shard).await
    }

    async fn page(&self, shard: u8, progress: Progress, limit: i32) -> Result<(Vec<Listed>, bool), Fault> {
        self.0.ledger.listed(shard, progress.after, limit).await
    }

    async fn turn(&self, listed: Listed) -> Result<(), Unfinished> {
        let (Self(calendar, moment), Listed { account, monitored }) = (self, listed);
        let own = calendar.ledger.moment_of(account, *moment).await?;
        match calendar.ledger.catch_up(account, own).await {
            // Somebody is just opening it.
            Ok(_) | Err(Unsettled::NoAccount) => (),
            // One account does not hold up the others.
            Err(unsettled) => {
                tracing::warn!(%account, cause = %unsettled, "a month could not be turned; noted for later");
                calendar.ledger.note(Errand::Calendar(account), own.now).await?;
            }
        }
        if monitored {
            calendar.tasks.send(&Task::Monitors { account, after: None }, 0).await?;
        }
        Ok(())
    }

    async fn step(&self, month: Period, shard: u8, next: Progress) -> Result<bool, Fault> {
        self.0.ledger.step_round(month, shard, next).await
    }
}
