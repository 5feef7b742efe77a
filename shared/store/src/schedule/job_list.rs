//! Scheduled jobs: work that is stored before the request that should do it begins, and work that is due at a time.

use std::error::Error;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use crate::schedule::jobs::{JOB_SHARDS, Job, ScheduledJob, account_partition, shard_partition, sort_time};
use crate::table::attribute::sort_key;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use domain::AccountId;
use ports::random;

/// How many jobs of one account's own list are read at once.
const JOBS_AT_ONCE: i32 = 100;

/// By how much the minute of [`Ledger::schedule_in_minute`] lies ahead.
const MINUTES_AHEAD: TimeDelta = TimeDelta::minutes(2);

/// A place in the list of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPlace(pub(crate) String);

impl JobPlace {
    /// The place that was written as this text.
    #[must_use]
    pub fn of(text: String) -> Self {
        Self(text)
    }

    /// The place as text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A page of the jobs of a shard.
#[derive(Clone, Debug)]
pub struct JobPage {
    /// The jobs, the earliest first.
    pub jobs: Vec<ScheduledJob>,
    /// The place to continue from.
    pub last: Option<JobPlace>,
    /// Whether these are the last jobs that are due.
    pub is_end: bool,
}

impl Ledger {
    /// Schedules a job. It stays stored, even after a crash, until [`Ledger::remove_job`] removes it. A job that is
    /// scheduled twice for the same time is stored once. Costs one write; for a test ledger two writes and a read, or
    /// one write and a read when the ledger has a test clock.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn schedule(&self, job: Job, due: DateTime<Utc>) -> Result<ScheduledJob, Fault> {
        self.store_job(ScheduledJob { job, due: whole_millis(due), request: None }).await
    }

    /// Schedules a job that the request itself removes once it has done the work. If two requests schedule the same job
    /// for the same time, two are stored, so that neither request removes the other's.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn schedule_for_request(&self, job: Job, due: DateTime<Utc>) -> Result<ScheduledJob, Fault> {
        let request = u64::try_from(random() >> 64).ok();
        self.store_job(ScheduledJob { job, due: whole_millis(due), request }).await
    }

    /// Schedules a job unless the same one is stored for the same minute: an account has at most one job of a kind for
    /// each minute. Costs one conditional write, whether it is stored already or not.
    ///
    /// The job is due more than one and at most two minutes after `now`. A job that is found stored here is therefore
    /// not running yet, and when it runs, it sees what the caller has written before this call.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn schedule_in_minute(&self, job: Job, now: DateTime<Utc>) -> Result<ScheduledJob, Fault> {
        let minute = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
        self.schedule(job, minute.checked_add_signed(MINUTES_AHEAD).unwrap_or(minute)).await
    }

    async fn store_job(&self, scheduled: ScheduledJob) -> Result<ScheduledJob, Fault> {
        if scheduled.job.is_listed_by_account() {
            // First, so that a clock that is set meanwhile finds it.
            self.put_job(&scheduled, &scheduled.account_key()).await?;
            if self.test_clock(scheduled.job.account()).await?.is_some() {
                return Ok(scheduled);
            }
        }
        self.put_job(&scheduled, &scheduled.shard_key()).await?;
        Ok(scheduled)
    }

    async fn put_job(&self, scheduled: &ScheduledJob, key: &Key<'_>) -> Result<(), Fault> {
        let mut item = scheduled.attributes()?;
        item.extend(key.attributes());
        self.table.put_new(item, "schedule a job").await.map(|_| ())
    }

    /// Removes a stored job.
    ///
    /// # Errors
    /// When the table does not answer. A test ledger's job may then be left in the shard, which runs it again.
    pub async fn remove_job(&self, job: &ScheduledJob) -> Result<(), Fault> {
        if job.job.is_listed_by_account() {
            self.table.delete(&job.account_key(), "remove a job").await?;
        }
        self.table.delete(&job.shard_key(), "remove a job").await
    }

    /// Leaves a job of a shard to the clock of its test ledger: from now on only moving that clock finds it.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn leave_to_test_clock(&self, job: &ScheduledJob) -> Result<(), Fault> {
        self.put_job(job, &job.account_key()).await?;
        self.table.delete(&job.shard_key(), "remove a job").await
    }

    /// A page of the jobs of one shard that are due by `by`, the earliest first: at most `limit` after the place
    /// `after`. Reads with eventual consistency: a job that was stored or removed within the last second may be missing
    /// or still be there.
    ///
    /// # Errors
    /// When the table does not answer. An unreadable job is logged and left out.
    pub async fn due_page(
        &self,
        shard: u8,
        after: Option<&JobPlace>,
        by: DateTime<Utc>,
        limit: i32,
    ) -> Result<JobPage, Fault> {
        let start = after.map(|JobPlace(place)| Key::Job(shard_partition(shard), place.clone()).attributes());
        let query = ItemQuery::new(shard_partition(shard), due_by(by)).consistent(false).limit(limit);
        let page = self.table.query(query.continued(start), "read jobs").await?;
        let last = page.items.last().and_then(sort_key).map(|place| JobPlace(place.to_owned()));
        let jobs = page.items.into_iter().filter_map(readable).collect();
        Ok(JobPage { jobs, last: last.or_else(|| after.cloned()), is_end: page.last.is_none() })
    }

    /// When the next job is due, without those that wait for a test clock; `None` when there is no job.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn next_job_due(&self) -> Result<Option<DateTime<Utc>>, Fault> {
        let mut next: Option<DateTime<Utc>> = None;
        for shard in 0..JOB_SHARDS {
            let query = ItemQuery::new(shard_partition(shard), SortKeys::All).limit(1);
            let first = self.table.query(query, "read jobs").await?.items.into_iter().find_map(readable);
            next = first.map(|scheduled| scheduled.due).into_iter().chain(next).min();
        }
        Ok(next)
    }

    /// The jobs in the list of a test ledger that are due by `by`, the earliest 100.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn own_due_jobs(
        &self,
        account: AccountId,
        by: DateTime<Utc>,
    ) -> Result<Vec<ScheduledJob>, Fault> {
        let query = ItemQuery::new(account_partition(account), due_by(by)).limit(JOBS_AT_ONCE);
        let items = self.table.query(query, "read jobs").await?.items;
        Ok(items.into_iter().filter_map(readable).collect())
    }
}

/// Keys have milliseconds, and a job must not be due later than requested.
fn whole_millis(due: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(due.timestamp_millis()).unwrap_or(due)
}

/// The keys of jobs that are due by a time.
fn due_by(by: DateTime<Utc>) -> SortKeys {
    // A job that is due in the next millisecond sorts after all of this one.
    SortKeys::Below(sort_time(by.checked_add_signed(TimeDelta::milliseconds(1)).unwrap_or(by)))
}

/// A job from its item. An unreadable job must not hide the others.
pub(crate) fn readable(item: StoredItem) -> Option<ScheduledJob> {
    match ScheduledJob::read(item) {
        Ok(scheduled) => Some(scheduled),
        Err(fault) => {
            tracing::error!(fault = &fault as &dyn Error, "a job is unreadable");
            None
        }
    }
}
