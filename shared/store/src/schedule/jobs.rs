//! What a scheduled job is, and its item.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::table::error::Fault;
use crate::table::item::{decode, encode};
use crate::table::key::{Key, StoredItem};
use domain::{
    AccountId, EntryId, ExportContent, ExportId, ExportKey, Mode, MonitorId, MonitorKey, OrgId, PurchaseId,
};

/// How many partitions hold the jobs: DynamoDB allows 1,000 writes a second to each. A shard has all jobs of its
/// accounts, and one call of the function `reconcile` runs one shard.
pub const JOB_SHARDS: u8 = 8;

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
    Projection(AccountId),
    /// Finishes an export. Its time is real time: a file is made when it is asked for, whatever clock the account has.
    Export(ExportKey),
}

/// The kind of a job: jobs of one kind share a budget of concurrency and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobKind {
    /// [`Job::Purchase`].
    Purchase,
    /// [`Job::Recharge`].
    Recharge,
    /// [`Job::Calendar`].
    Calendar,
    /// [`Job::Plan`].
    Plan,
    /// [`Job::Monitor`].
    Monitor,
    /// [`Job::Remainder`].
    Remainder,
    /// [`Job::Webhooks`].
    Webhooks,
    /// [`Job::Projection`].
    Projection,
    /// [`Job::Export`].
    Export,
}

impl JobKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Purchase,
        Self::Recharge,
        Self::Calendar,
        Self::Plan,
        Self::Monitor,
        Self::Remainder,
        Self::Webhooks,
        Self::Projection,
        Self::Export,
    ];

    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Purchase => "purchase",
            Self::Recharge => "recharge",
            Self::Calendar => "calendar",
            Self::Plan => "plan",
            Self::Monitor => "monitor",
            Self::Remainder => "remainder",
            Self::Webhooks => "webhooks",
            Self::Projection => "projection",
            Self::Export => "export",
        }
    }
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
            | Self::Projection(account) => *account,
            Self::Monitor(watched) => watched.account,
            Self::Remainder(remainder) => remainder.account,
            Self::Export(export) => export.account,
        }
    }

    /// The kind of the job.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Purchase(_) => JobKind::Purchase,
            Self::Recharge(_) => JobKind::Recharge,
            Self::Calendar(_) => JobKind::Calendar,
            Self::Plan(_) => JobKind::Plan,
            Self::Monitor(_) => JobKind::Monitor,
            Self::Remainder(_) => JobKind::Remainder,
            Self::Webhooks(_) => JobKind::Webhooks,
            Self::Projection(_) => JobKind::Projection,
            Self::Export(_) => JobKind::Export,
        }
    }

    /// Whether the job's time is the account's own, where the account has a test clock.
    #[must_use]
    pub fn uses_account_clock(&self) -> bool {
        match self {
            Self::Webhooks(_) | Self::Projection(_) | Self::Export(_) => false,
            Self::Purchase(_)
            | Self::Recharge(_)
            | Self::Calendar(_)
            | Self::Plan(_)
            | Self::Monitor(_)
            | Self::Remainder(_) => true,
        }
    }

    /// The shard that has the job, `0..`[`JOB_SHARDS`].
    #[must_use]
    pub fn shard(&self) -> u8 {
        let random = self.account().org.bare().bytes().fold(0u8, u8::wrapping_add);
        random.checked_rem(JOB_SHARDS).unwrap_or(0)
    }

    /// Whether the job is also stored in a list of its account: a test ledger may get a clock of its own at any time,
    /// and moving that clock finds the account's jobs without reading those of others.
    pub(crate) fn is_listed_by_account(&self) -> bool {
        self.account().mode == Mode::Test && self.uses_account_clock()
    }
}

/// A stored job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScheduledJob {
    /// When it is due, in whole milliseconds.
    pub due: DateTime<Utc>,
    /// The job.
    pub job: Job,
    /// A random number if the request that scheduled the job cancels it. Two requests then never share one job.
    pub request: Option<u64>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    export: Option<ExportId>,
    #[serde(default, skip_serializing_if = "ExportContent::is_transactions")]
    content: ExportContent,
    /// The kind of a job for the account itself; auto-recharge when it is missing.
    #[serde(default, rename = "of", skip_serializing_if = "Option::is_none")]
    kind: Option<AccountJob>,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    due: DateTime<Utc>,
    #[serde(default, rename = "by", skip_serializing_if = "Option::is_none")]
    request: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AccountJob {
    Calendar,
    Plan,
    Webhooks,
    Projection,
}

impl ScheduledJob {
    /// Reads a job from its item.
    pub(crate) fn read(item: StoredItem) -> Result<Self, Fault> {
        let JobItem { org, mode, purchase, monitor, remainder, export, content, kind, due, request } =
            decode("a job", item)?;
        let account = AccountId { org, mode };
        if let Some(export) = export {
            return Ok(Self { due, job: Job::Export(ExportKey { account, export, content }), request });
        }
        let job = match (purchase, monitor, remainder, kind) {
            (Some(transaction), ..) => Job::Purchase(PurchaseId { account, transaction }),
            (None, Some(monitor), ..) => Job::Monitor(MonitorKey { account, monitor }),
            (None, None, Some(of), _) => Job::Remainder(RemainderId { account, of }),
            (None, None, None, None) => Job::Recharge(account),
            (None, None, None, Some(AccountJob::Calendar)) => Job::Calendar(account),
            (None, None, None, Some(AccountJob::Plan)) => Job::Plan(account),
            (None, None, None, Some(AccountJob::Webhooks)) => Job::Webhooks(account),
            (None, None, None, Some(AccountJob::Projection)) => Job::Projection(account),
        };
        Ok(Self { due, job, request })
    }

    /// The attributes of its item, without those of a key.
    pub(crate) fn attributes(&self) -> Result<StoredItem, Fault> {
        let Self { due, job, request } = *self;
        let AccountId { org, mode } = job.account();
        let bare = JobItem {
            org,
            mode,
            purchase: None,
            monitor: None,
            remainder: None,
            export: None,
            content: ExportContent::Transactions,
            kind: None,
            due,
            request,
        };
        encode(&match job {
            Job::Purchase(id) => JobItem { purchase: Some(id.transaction), ..bare },
            Job::Monitor(watched) => JobItem { monitor: Some(watched.monitor), ..bare },
            Job::Remainder(remainder) => JobItem { remainder: Some(remainder.of), ..bare },
            Job::Export(key) => JobItem { export: Some(key.export), content: key.content, ..bare },
            Job::Recharge(_) => bare,
            Job::Calendar(_) => JobItem { kind: Some(AccountJob::Calendar), ..bare },
            Job::Plan(_) => JobItem { kind: Some(AccountJob::Plan), ..bare },
            Job::Webhooks(_) => JobItem { kind: Some(AccountJob::Webhooks), ..bare },
            Job::Projection(_) => JobItem { kind: Some(AccountJob::Projection), ..bare },
        })
    }

    /// The key of its item in the shard.
    pub(crate) fn shard_key(&self) -> Key<'static> {
        Key::Job(shard_partition(self.job.shard()), self.place())
    }

    /// The key of its item in the list of the account.
    pub(crate) fn account_key(&self) -> Key<'static> {
        Key::Job(account_partition(self.job.account()), self.place())
    }

    fn place(&self) -> String {
        let account = self.job.account();
        let what = match self.job {
            Job::Purchase(id) => id.transaction.to_string(),
            Job::Monitor(watched) => watched.monitor.to_string(),
            Job::Remainder(remainder) => format!("pot of {}", remainder.of),
            Job::Export(key) => key.export.to_string(),
            Job::Recharge(_) => "recharge".to_owned(),
            Job::Calendar(_) => "calendar".to_owned(),
            Job::Plan(_) => "plan".to_owned(),
            Job::Webhooks(_) => "webhooks".to_owned(),
            Job::Projection(_) => "projection".to_owned(),
        };
        let place = format!("{}#{account}#{what}", sort_time(self.due));
        self.request.map_or(place.clone(), |request| format!("{place}#{request:016x}"))
    }
}

/// The partition with the jobs of a shard.
pub(crate) fn shard_partition(shard: u8) -> String {
    format!("AGENDA#{shard}")
}

/// The partition with the jobs of one test ledger.
pub(crate) fn account_partition(account: AccountId) -> String {
    format!("AGENDA#{account}")
}

/// A time as the beginning of a sort key: milliseconds since 1970, whose text sorts in order up to the year 9999.
pub(crate) fn sort_time(at: DateTime<Utc>) -> String {
    format!("{:015}", at.timestamp_millis())
}
