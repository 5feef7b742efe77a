//! The open jobs of one account, as operators read them.
//!
//! A shard has the jobs of an eighth of all accounts in the order of their times, and nothing lists those of one live account:
//! a second item for each job would cost a write more for each capture and each purchase. So a page examines a bounded part
//! of the shard, and a cursor continues it.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::schedule::job_list::{JobPlace, readable};
use crate::schedule::jobs::{Job, ScheduledJob, account_partition, shard_partition};
use crate::table::attribute::sort_key;
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use domain::{AccountId, Mode};

/// How many jobs one query examines. A job takes about 0.3 KB.
const EXAMINED_AT_ONCE: i32 = 1_000;

/// How many queries of a list one page makes at most.
const QUERIES_MAX: usize = 4;

/// A page of the open jobs of an account.
#[derive(Clone, Debug)]
pub struct OpenJobPage {
    /// The jobs, the earliest first.
    pub jobs: Vec<ScheduledJob>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<JobPlace>,
}

/// Jobs of an account that were found in one list, by their places.
#[derive(Default)]
struct FoundJobs {
    jobs: BTreeMap<String, ScheduledJob>,
    /// Through which place the list was examined; `None` at its end.
    through: Option<String>,
}

impl Ledger {
    /// The open jobs of an account after a place, the earliest first, at most `limit`. It may have fewer, or none, and still
    /// have a next page: it examines at most 4,000 jobs of the account's shard, with four eventually consistent queries (about
    /// 150 read units), and for a test ledger as many of the ledger's own list, which has the jobs that wait for its clock.
    ///
    /// # Errors
    /// When the table does not answer. An unreadable job is logged and left out.
    pub async fn open_jobs(
        &self,
        account: AccountId,
        after: Option<&JobPlace>,
        limit: usize,
    ) -> Result<OpenJobPage, Fault> {
        let shard = shard_partition(Job::Calendar(account).shard());
        let mut found = self.jobs_of(account, shard, after, limit).await?;
        if account.mode == Mode::Test {
            // A job that is in both lists has the same place in them.
            let own = self.jobs_of(account, account_partition(account), after, limit).await?;
            found.jobs.extend(own.jobs);
            found.through = [found.through, own.through].into_iter().flatten().min();
        }
        if let Some(through) = &found.through {
            found.jobs.retain(|place, _| place <= through);
        }
        let is_more = limit < found.jobs.len();
        let last = found.jobs.keys().nth(limit.saturating_sub(1)).cloned().filter(|_| is_more);
        let jobs = found.jobs.into_values().take(limit).collect();
        Ok(OpenJobPage { jobs, next: last.or(found.through).map(JobPlace) })
    }

    /// The jobs of an account in one list after a place: at least one more than `limit`, unless the list ends before or has
    /// been examined as far as one page may.
    async fn jobs_of(
        &self,
        account: AccountId,
        list: String,
        after: Option<&JobPlace>,
        limit: usize,
    ) -> Result<FoundJobs, Fault> {
        let text = |text: String| AttributeValue::S(text);
        let of_account = Condition::new("#org = :org AND #mode = :mode")
            .name("#org", "org")
            .name("#mode", "mode")
            .value(":org", text(account.org.to_string()))
            .value(":mode", text(account.mode.as_str().to_owned()));
        let mut found =
            FoundJobs { through: after.map(|JobPlace(place)| place.clone()), ..Default::default() };
        for _ in 0..QUERIES_MAX {
            let keys = found.through.take().map_or(SortKeys::All, SortKeys::After);
            let query = ItemQuery::new(list.clone(), keys).consistent(false).limit(EXAMINED_AT_ONCE);
            let query = ItemQuery { filter: Some(of_account.clone()), ..query };
            let page = self.table.query(query, "read the jobs of an account").await?;
            found.through = page.last.as_ref().and_then(sort_key).map(str::to_owned);
            for item in page.items {
                let Some(place) = sort_key(&item).map(str::to_owned) else { continue };
                found.jobs.extend(readable(item).map(|job| (place, job)));
            }
            if found.through.is_none() || limit < found.jobs.len() {
                break;
            }
        }
        Ok(found)
    }
}
