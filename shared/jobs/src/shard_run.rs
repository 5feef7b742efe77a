//! One call for one shard of the scheduled jobs: reads what is due, once and in order, while jobs run.
//!
//! Every job stays stored until its work is done, so the end of the process at any point loses none: the next call
//! finds it. The call begins no job after [`WORK_TIME`]; the next call, a minute after this one, finds what is left.

use std::collections::BTreeMap;
use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::AccountId;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ports::Moment;
use store::{Fault, JobKind, JobPage, JobPlace, ScheduledJob};
use tokio::time::{sleep, timeout};

use super::Dispatcher;
use super::budget::{LATE_TIME, WORK_TIME, job_budget};
use super::fair_queue::{DueJob, FairQueue};

/// What is logged when jobs begin late. `JobsLate` in `functions/reconcile/function.yaml` counts these lines.
pub const LATE_JOBS: &str = "scheduled jobs are late";

/// How many jobs one read returns at most.
const PAGE: i32 = 1_000;

/// After how long the list is read again for what has fallen due meanwhile, if jobs still run.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// What one call has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardRun {
    /// How many stored jobs were done or postponed.
    pub handled: usize,
    /// How many due jobs were left for the next call.
    pub left: usize,
    /// How late the latest of them began, or still is.
    pub latest: TimeDelta,
}

/// What has come to its end.
enum Finished {
    Page(Result<JobPage, Fault>),
    Job(RanJob),
}

struct RanJob {
    kind: JobKind,
    account: AccountId,
    handled: usize,
    timed_out: bool,
}

type Pending<'a> = Pin<Box<dyn Future<Output = Finished> + Send + 'a>>;

/// What runs: jobs, and a read of the list.
type Running<'a> = FuturesUnordered<Pending<'a>>;

struct ShardCall<'a> {
    dispatcher: &'a Dispatcher<'a>,
    shard: u8,
    end: DateTime<Utc>,
    queues: BTreeMap<JobKind, FairQueue>,
    run: ShardRun,
    /// Whether everything that is due was read.
    is_read: bool,
}

impl Dispatcher<'_> {
    /// Runs the due jobs of one shard. Jobs run concurrently within the budget of their kind, and accounts take turns. A
    /// job that fails or times out is postponed.
    ///
    /// # Errors
    /// When the list of jobs cannot be read; what was read before has run.
    pub async fn run_shard(&self, shard: u8) -> Result<ShardRun, Fault> {
        let begin = self.clock.moment().wall;
        let call = ShardCall {
            dispatcher: self,
            shard,
            end: begin.checked_add_signed(WORK_TIME).unwrap_or(begin),
            queues: BTreeMap::new(),
            run: ShardRun::default(),
            is_read: false,
        };
        call.run().await
    }

    async fn run_due_job(&self, due: DueJob, moment: Moment) -> RanJob {
        let (job, kind) = (due.job, due.job.kind());
        let stored = due.stored.as_slice();
        let ran = RanJob { kind, account: job.account(), handled: stored.len(), timed_out: false };
        match timeout(job_budget(kind).timeout, Box::pin(self.run_stored(job, stored, moment))).await {
            Ok(Ok(())) => ran,
            Ok(Err(unsettled)) => {
                tracing::warn!(?job, cause = &unsettled as &dyn Error, "job postponed");
                RanJob { handled: self.postpone_or_leave(stored, moment).await, ..ran }
            }
            Err(_) => {
                tracing::warn!(?job, "job timed out and postponed");
                let handled = self.postpone_or_leave(stored, moment).await;
                RanJob { handled, timed_out: true, ..ran }
            }
        }
    }

    /// Postpones a job, or leaves it where it is when the list cannot be written. Returns how many stored jobs it has
    /// postponed.
    async fn postpone_or_leave(&self, stored: &[ScheduledJob], moment: Moment) -> usize {
        match self.postpone(stored, moment).await {
            Ok(()) => stored.len(),
            Err(fault) => {
                tracing::warn!(cause = &fault as &dyn Error, "a job that failed is left to the next call");
                0
            }
        }
    }
}

impl<'a> ShardCall<'a> {
    async fn run(mut self) -> Result<ShardRun, Fault> {
        let (mut running, mut jobs) = (Running::new(), 0usize);
        let mut fault = None;
        running.push(self.read(None, Duration::ZERO));
        loop {
            jobs = jobs.saturating_add(self.start(&running));
            let is_idle = self.queues.values().all(FairQueue::is_empty);
            if jobs == 0 && (self.is_over() || (self.is_read && is_idle)) {
                break;
            }
            match running.next().await {
                None => break,
                Some(Finished::Job(ran)) => {
                    jobs = jobs.saturating_sub(1);
                    self.finish(&ran);
                }
                Some(Finished::Page(Ok(page))) => {
                    if let Some(read) = self.take(page) {
                        running.push(read);
                    }
                }
                Some(Finished::Page(Err(unread))) => (self.is_read, fault) = (true, Some(unread)),
            }
        }
        self.report();
        fault.map_or(Ok(self.run), Err)
    }

    /// A read of the jobs after a place, once `wait` is over.
    fn read(&self, after: Option<JobPlace>, wait: Duration) -> Pending<'a> {
        let (dispatcher, shard) = (self.dispatcher, self.shard);
        Box::pin(async move {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            let by = dispatcher.clock.moment().now;
            Finished::Page(dispatcher.jobs.ledger.due_page(shard, after.as_ref(), by, PAGE).await)
        })
    }

    /// Queues the jobs of a page. Returns the read of the next page, if there is one.
    fn take(&mut self, page: JobPage) -> Option<Pending<'a>> {
        for scheduled in page.jobs {
            if !self.queues.entry(scheduled.job.kind()).or_default().push(scheduled) {
                self.leave([scheduled]);
            }
        }
        self.is_read = page.is_end;
        let wait = if page.is_end { READ_AGAIN } else { Duration::ZERO };
        (!self.is_over()).then(|| self.read(page.last, wait))
    }

    /// Starts the jobs that the budgets allow, and returns how many.
    fn start(&mut self, running: &Running<'a>) -> usize {
        if self.is_over() {
            return 0;
        }
        let (dispatcher, moment, mut started) = (self.dispatcher, self.dispatcher.clock.moment(), 0usize);
        for (kind, queue) in &mut self.queues {
            while let Some(due) = queue.next(job_budget(*kind)) {
                for scheduled in &due.stored {
                    self.run.latest = self.run.latest.max(moment.now.signed_duration_since(scheduled.due));
                }
                running
                    .push(Box::pin(async move { Finished::Job(dispatcher.run_due_job(due, moment).await) }));
                started = started.saturating_add(1);
            }
        }
        started
    }

    fn finish(&mut self, ran: &RanJob) {
        self.run.handled = self.run.handled.saturating_add(ran.handled);
        let queue = self.queues.entry(ran.kind).or_default();
        queue.finished(ran.account);
        if ran.timed_out {
            let skipped = queue.skip(ran.account);
            self.leave(skipped);
        }
    }

    /// Counts jobs that are left to the next call.
    fn leave(&mut self, jobs: impl IntoIterator<Item = ScheduledJob>) {
        let now = self.dispatcher.clock.moment().now;
        for job in jobs {
            self.run.left = self.run.left.saturating_add(1);
            self.run.latest = self.run.latest.max(now.signed_duration_since(job.due));
        }
    }

    fn report(&mut self) {
        let left: Vec<_> = self.queues.values().flat_map(FairQueue::left).copied().collect();
        self.leave(left);
        let (shard, ShardRun { handled, left, latest }) = (self.shard, self.run);
        if LATE_TIME < latest {
            tracing::warn!(shard, handled, left, late_seconds = latest.num_seconds(), "{LATE_JOBS}");
        }
    }

    fn is_over(&self) -> bool {
        self.end <= self.dispatcher.clock.moment().wall
    }
}
