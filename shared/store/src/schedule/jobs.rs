//! Scheduled jobs: work that is stored before the request that should do it begins, and work that is due at a time.

use std::error::Error;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::table::attribute::text;
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::{Key, StoredItem};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use domain::{AccountId, EntryId, Mode, MonitorId, MonitorKey, OrgId, PurchaseId};

/// How many partitions hold the jobs of accounts without a clock of their own: DynamoDB allows 1,000 writes a second to
/// each. Every run reads all of them.
const JOB_SHARDS: u8 = 8;

/// How many jobs one read of a partition returns at most.
const JOBS_AT_ONCE: i32 = 100;

/// A job: work scheduled for a time, in case the request that should have done it crashed, or because that is when it
/// is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Job {
    /// Finishes a purchase.
    Purchase(PurchaseId),
    /// Finishes a charge of an account's auto-recharge, or ends a pause of it.
    Recharge(AccountId),
    /// Does the due work of an account, such as renewals and expiries.
    Calendar(AccountId),
    /// Applies a change of plan to everything that depends on the plan.
    Plan(AccountId),
    /// Finishes creating a monitor.
    Monitor(MonitorKey),
    /// Finishes a part that was taken from a transaction's remainder, or closes a hold that has ended.
    Remainder(RemainderId),
    /// Retries deliveries to an account's webhooks. Its time is real time, whatever clock the account has: a customer's
    /// server must not wait for a test clock.
    Webhooks(AccountId),
    /// Projects what could not be projected of an account with its records. Its time is real time.
    CatchUp(AccountId),
}

/// The id of a transaction's remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemainderId {
    /// The account.
    pub account: AccountId,
    /// The transaction.
    pub of: EntryId,
}

impl Job {
    /// The account that the job belongs to.
    #[must_use]
    pub fn account(&self) -> AccountId {
        match self {
            Self::Purchase(id) => id.account,
            Self::Recharge(account)
            | Self::Calendar(account)
            | Self::Plan(account)
            | Self::Webhooks(account)
            | Self::CatchUp(account) => *account,
            Self::Monitor(watched) => watched.account,
            Self::Remainder(remainder) => remainder.account,
        }
    }

    /// Whether the job's time is the account's own, where the account has a test clock.
    #[must_use]
    pub fn uses_account_clock(&self) -> bool {
        !matches!(self, Self::Webhooks(_) | Self::CatchUp(_))
    }
}

/// A stored job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledJob {
    /// The job.
    pub job: Job,
    /// When it is due, in whole milliseconds.
    pub due: DateTime<Utc>,
    /// Whether it is stored in the account's own schedule, whose times are those of the account's test clock.
    pub is_own: bool,
}

#[derive(Serialize, Deserialize)]
struct JobItem {
    org: OrgId,
    mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purchase: Option<EntryId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    monitor: Option<MonitorId>,
    #[serde(default, rename = "pot", skip_serializing_if = "Option::is_none")]
    remainder: Option<EntryId>,
    /// The kind of a job for the account itself; auto-recharge when it is missing.
    #[serde(default, rename = "of", skip_serializing_if = "Option::is_none")]
    kind: Option<AccountJob>,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    due: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AccountJob {
    Calendar,
    Plan,
    Webhooks,
    CatchUp,
}

impl Ledger {
    /// Schedules a job. It stays stored, even after a crash, until [`Ledger::remove_job`] removes it. A job that is
    /// scheduled twice for the same time is stored once. A job of an account with a test clock is stored in the
    /// account's own schedule.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn schedule(&self, job: Job, due: DateTime<Utc>) -> Result<ScheduledJob, Fault> {
        // Keys have milliseconds, and a job must not be due later than requested.
        let due = DateTime::from_timestamp_millis(due.timestamp_millis()).unwrap_or(due);
        let is_own = job.uses_account_clock() && self.test_clock(job.account()).await?.is_some();
        let scheduled = ScheduledJob { job, due, is_own };
        let AccountId { org, mode } = job.account();
        let bare = JobItem { org, mode, purchase: None, monitor: None, remainder: None, kind: None, due };
        let item = match job {
            Job::Purchase(id) => JobItem { purchase: Some(id.transaction), ..bare },
            Job::Monitor(watched) => JobItem { monitor: Some(watched.monitor), ..bare },
            Job::Remainder(remainder) => JobItem { remainder: Some(remainder.of), ..bare },
            Job::Recharge(_) => bare,
            Job::Calendar(_) => JobItem { kind: Some(AccountJob::Calendar), ..bare },
            Job::Plan(_) => JobItem { kind: Some(AccountJob::Plan), ..bare },
            Job::Webhooks(_) => JobItem { kind: Some(AccountJob::Webhooks), ..bare },
            Job::CatchUp(_) => JobItem { kind: Some(AccountJob::CatchUp), ..bare },
        };
        self.table.put_new(with_key(&scheduled.key(), &item)?, "schedule a job").await?;
        Ok(scheduled)
    }

    /// Removes a stored job.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn remove_job(&self, job: &ScheduledJob) -> Result<(), Fault> {
        self.table.delete(&job.key(), "remove a job").await
    }

    /// The jobs that are due by `now`, without those in accounts' own schedules; of each partition the earliest 100.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn due_jobs(&self, now: DateTime<Utc>) -> Result<Vec<ScheduledJob>, Fault> {
        let mut due = Vec::new();
        for shard in 0..JOB_SHARDS {
            due.extend(self.jobs_in(Schedule::Shared(shard), now, JOBS_AT_ONCE).await?);
        }
        due.sort_by_key(|scheduled| (scheduled.due, scheduled.job));
        Ok(due)
    }

    /// Moves the jobs of an account that now has a test clock into a schedule of its own. It reads the one partition
    /// that they can be in, once in an account's life; after a crash it begins again.
    ///
    /// # Errors
    /// When the table does not answer; when a job is unreadable.
    pub async fn move_to_own_schedule(&self, account: AccountId) -> Result<(), Fault> {
        if self.has_own_schedule(account).await? {
            return Ok(());
        }
        let AccountId { org, mode } = account;
        let filter = Condition::new("org = :org AND #mode = :mode")
            .name("#mode", "mode")
            .value(":org", text(org.to_string()))
            .value(":mode", text(mode.as_str()));
        let query = ItemQuery::all(Schedule::Shared(shard_of(account)).partition()).filtered(filter);
        for item in self.table.query_all(query, "read jobs").await? {
            let scheduled = read(item, false)?;
            if !scheduled.job.uses_account_clock() {
                continue;
            }
            self.schedule(scheduled.job, scheduled.due).await?;
            self.remove_job(&scheduled).await?;
        }
        self.save_own_schedule(account).await
    }

    /// When the next job is due, without those in accounts' own schedules; `None` when there is no job.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn next_job_due(&self) -> Result<Option<DateTime<Utc>>, Fault> {
        let mut next: Option<DateTime<Utc>> = None;
        for shard in 0..JOB_SHARDS {
            let first = self.jobs_in(Schedule::Shared(shard), DateTime::<Utc>::MAX_UTC, 1).await?;
            next = first.first().map(|scheduled| scheduled.due).into_iter().chain(next).min();
        }
        Ok(next)
    }

    /// The jobs of an account's own schedule that are due by `by`, the earliest 100.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn own_due_jobs(
        &self,
        account: AccountId,
        by: DateTime<Utc>,
    ) -> Result<Vec<ScheduledJob>, Fault> {
        self.jobs_in(Schedule::Own(account), by, JOBS_AT_ONCE).await
    }

    async fn jobs_in(
        &self,
        schedule: Schedule,
        by: DateTime<Utc>,
        limit: i32,
    ) -> Result<Vec<ScheduledJob>, Fault> {
        // A job that is due in the next millisecond sorts after all of this one.
        let end = by.checked_add_signed(TimeDelta::milliseconds(1)).unwrap_or(by);
        let query = ItemQuery::new(schedule.partition(), SortKeys::Below(sort_time(end))).limit(limit);
        let items = self.table.query(query, "read jobs").await?.items.into_iter();
        // An unreadable job must not hide the others.
        let is_own = matches!(schedule, Schedule::Own(_));
        let read = items.map(|item| read(item, is_own)).filter_map(|read| match read {
            Ok(scheduled) => Some(scheduled),
            Err(fault) => {
                tracing::error!(fault = &fault as &dyn Error, "a job is unreadable");
                None
            }
        });
        Ok(read.collect())
    }
}

fn read(item: StoredItem, is_own: bool) -> Result<ScheduledJob, Fault> {
    let JobItem { org, mode, purchase, monitor, remainder, kind, due } = decode("a job", item)?;
    let account = AccountId { org, mode };
    let job = match (purchase, monitor, remainder, kind) {
        (Some(transaction), ..) => Job::Purchase(PurchaseId { account, transaction }),
        (None, Some(monitor), ..) => Job::Monitor(MonitorKey { account, monitor }),
        (None, None, Some(of), _) => Job::Remainder(RemainderId { account, of }),
        (None, None, None, None) => Job::Recharge(account),
        (None, None, None, Some(AccountJob::Calendar)) => Job::Calendar(account),
        (None, None, None, Some(AccountJob::Plan)) => Job::Plan(account),
        (None, None, None, Some(AccountJob::Webhooks)) => Job::Webhooks(account),
        (None, None, None, Some(AccountJob::CatchUp)) => Job::CatchUp(account),
    };
    Ok(ScheduledJob { job, due, is_own })
}

impl ScheduledJob {
    fn key(&self) -> Key<'static> {
        let account = self.job.account();
        let what = match self.job {
            Job::Purchase(id) => id.transaction.to_string(),
            Job::Monitor(watched) => watched.monitor.to_string(),
            Job::Remainder(remainder) => format!("pot of {}", remainder.of),
            Job::Recharge(_) => "recharge".to_owned(),
            Job::Calendar(_) => "calendar".to_owned(),
            Job::Plan(_) => "plan".to_owned(),
            Job::Webhooks(_) => "webhooks".to_owned(),
            Job::CatchUp(_) => "catch up".to_owned(),
        };
        let schedule = if self.is_own { Schedule::Own(account) } else { Schedule::Shared(shard_of(account)) };
        Key::Job(schedule.partition(), format!("{}#{account}#{what}", sort_time(self.due)))
    }
}

/// Where jobs are stored.
#[derive(Clone, Copy)]
enum Schedule {
    /// One of the partitions that all accounts without a test clock share.
    Shared(u8),
    /// The partition of one account with a test clock.
    Own(AccountId),
}

impl Schedule {
    fn partition(self) -> String {
        match self {
            Self::Shared(shard) => format!("AGENDA#{shard}"),
            Self::Own(account) => format!("AGENDA#{account}"),
        }
    }
}

fn shard_of(account: AccountId) -> u8 {
    let random = account.org.bare().bytes().fold(0u8, u8::wrapping_add);
    random.checked_rem(JOB_SHARDS).unwrap_or(0)
}

/// A time as the beginning of a sort key: milliseconds since 1970, whose text sorts in order up to the year 9999.
fn sort_time(at: DateTime<Utc>) -> String {
    format!("{:015}", at.timestamp_millis())
}
