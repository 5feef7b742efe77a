//! Dispatch of scheduled jobs: runs the jobs that are due, and postpones those that fail.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{AccountId, Mode, PurchaseId, PurchaseStep};
use futures_util::stream;
use futures_util::{FutureExt, StreamExt};
use ports::{Clock, NoBus, Queue};
use scrip_payments::{Checkout, Providers, RechargeRequest};
use scrip_webhooks::DeliveryRequest;
use store::{Activity, Fault, Job, Moment, ScheduledJob, Unsettled};
use tokio::time::timeout;

use super::projection::{CaughtUp, Others, ProjectionError, SKIPPED, catch_up_account};
use super::{Jobs, MonitorError};

/// The maximum number of jobs in one call; the next call continues.
const JOBS_MAX: usize = 5_000;

/// For how many accounts jobs run concurrently.
const ACCOUNTS_AT_ONCE: usize = 16;

/// For how many seconds one call starts jobs. Including the longest job and postponing it, the call ends before the
/// function's timeout of 240.
const WORK_SECONDS: i64 = 180;

/// The timeout of one job, in seconds. It is below the 30 seconds of the lease on a purchase: after that, another process
/// may work on the purchase.
const JOB_SECONDS: u64 = 28;

/// For how many seconds a job catches up with an account at most, before its last slice.
const CATCH_UP_SECONDS: u64 = 20;

/// By how many seconds a job that failed is postponed.
const POSTPONE_SECONDS: i64 = 120;

/// Runs scheduled jobs. The list of jobs says which accounts to check, so no call scans a table.
#[derive(Clone, Copy)]
pub struct Dispatcher<'a> {
    /// The jobs on the ledger.
    pub jobs: Jobs<'a>,
    /// The payment providers.
    pub providers: &'a Providers,
    /// The queue of the function `recharge`.
    pub recharges: &'a dyn Queue<RechargeRequest>,
    /// The queue of the function `webhook-delivery`.
    pub deliveries: &'a dyn Queue<DeliveryRequest>,
    /// The table that usage is counted in.
    pub activity: &'a Activity,
    /// The clock.
    pub clock: &'a dyn Clock,
}

impl<'a> Dispatcher<'a> {
    pub(super) fn checkout(&self, mode: Mode) -> Checkout<'a> {
        let Jobs { ledger, settings, .. } = self.jobs;
        Checkout { ledger, settings, provider: self.providers.of(mode), recharges: self.recharges }
    }

    /// Runs the jobs that are due by `moment`, and returns how many. The jobs of one account run in sequence, earliest
    /// first; accounts run concurrently, so that a slow payment provider delays one account only. A job that fails or
    /// times out is postponed. Once a day the payment providers are also polled for refunds and disputes.
    ///
    /// # Errors
    /// When the list of jobs cannot be read or written.
    pub async fn run_due(&self, moment: Moment) -> Result<usize, Fault> {
        let mut handled = Box::pin(self.poll_daily(moment)).await;
        let end = moment.wall.checked_add_signed(TimeDelta::seconds(WORK_SECONDS)).unwrap_or(moment.wall);
        while handled < JOBS_MAX && self.clock.moment().wall < end {
            let due = self.jobs.ledger.due_jobs(moment.now).await?;
            if due.is_empty() {
                break;
            }
            let mut accounts: BTreeMap<AccountId, Vec<ScheduledJob>> = BTreeMap::new();
            for job in due {
                accounts.entry(job.job.account()).or_default().push(job);
            }
            let each = accounts.into_values().map(|jobs| self.run_account(jobs, moment, end));
            let done: Vec<_> = stream::iter(each).buffer_unordered(ACCOUNTS_AT_ONCE).collect().await;
            for jobs in done {
                handled = handled.saturating_add(jobs?);
            }
        }
        Ok(handled)
    }

    /// Runs the jobs of one account until `end`, and returns how many. After a timeout, the account's other jobs that
    /// call a payment provider are postponed too, because they would probably time out as well.
    async fn run_account(
        &self,
        jobs: Vec<ScheduledJob>,
        moment: Moment,
        end: DateTime<Utc>,
    ) -> Result<usize, Fault> {
        let (mut handled, mut is_slow) = (0usize, false);
        for job in jobs {
            // Leases start with their own job, not with the first one.
            let moment = Moment { wall: self.clock.moment().wall, ..moment };
            if end <= moment.wall {
                break;
            }
            handled = handled.saturating_add(1);
            if is_slow && calls_provider(job.job) {
                self.postpone(&job, moment).await?;
                continue;
            }
            let run = Box::pin(self.run(&job, moment));
            match timeout(Duration::from_secs(JOB_SECONDS), run).await {
                Ok(Ok(())) => (),
                Ok(Err(unsettled)) => {
                    tracing::warn!(job = ?job.job, cause = &unsettled as &dyn Error, "job postponed");
                    self.postpone(&job, moment).await?;
                }
                Err(_) => {
                    tracing::warn!(job = ?job.job, "job timed out and postponed");
                    self.postpone(&job, moment).await?;
                    is_slow = true;
                }
            }
        }
        Ok(handled)
    }

    /// Postpones a job that failed, so that it does not delay the jobs behind it.
    ///
    /// # Errors
    /// When the list of jobs cannot be written.
    pub async fn postpone(&self, job: &ScheduledJob, moment: Moment) -> Result<(), Fault> {
        let wait = TimeDelta::seconds(POSTPONE_SECONDS);
        let due = moment.now.checked_add_signed(wait).unwrap_or(moment.now);
        self.jobs.ledger.schedule(job.job, due).await?;
        self.jobs.ledger.remove_job(job).await
    }

    /// Runs one job. A job that is to run again is scheduled before the present one is deleted.
    ///
    /// A job of a test ledger that was scheduled before the ledger got a test clock is due by the test clock from now on.
    ///
    /// # Errors
    /// When the job failed; it is still scheduled.
    pub async fn run(&self, job: &ScheduledJob, moment: Moment) -> Result<(), Unsettled> {
        let ledger = self.jobs.ledger;
        let moment = match job.job.uses_account_clock() {
            true => ledger.moment_of(job.job.account(), moment).await?,
            false => moment,
        };
        let next = if moment.now < job.due { Some(job.due) } else { self.work(job, moment).await? };
        if let Some(due) = next {
            ledger.schedule(job.job, due).await?;
        }
        ledger.remove_job(job).await?;
        Ok(())
    }

    /// The work of a job. Returns when the job is due again, if it is.
    async fn work(&self, job: &ScheduledJob, moment: Moment) -> Result<Option<DateTime<Utc>>, Unsettled> {
        let jobs = self.jobs;
        match job.job {
            Job::Purchase(id) => self.finish_purchase(id, moment).await,
            Job::Recharge(account) => {
                self.checkout(account.mode).run_auto_recharge(account, moment).await?;
                let recharge = jobs.ledger.recharge(account).await?;
                Ok(recharge.and_then(|recharge| recharge.check_at(moment.now)))
            }
            Job::Calendar(account) => jobs.run_account_job(account, moment).await,
            Job::Remainder(remainder) => {
                jobs.ledger.finish_drawdown(remainder.account, remainder.of, moment).await.map(|()| None)
            }
            Job::Webhooks(account) => {
                match self.deliveries.send(&DeliveryRequest::Account { account }, 0).await {
                    Ok(()) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            Job::CatchUp(account) => self.catch_up(account, moment).await,
            Job::Plan(account) => jobs.apply_plan(account, moment).await.map(|()| None),
            Job::Monitor(id) => match jobs.finish_monitor(id, moment).await {
                Ok(_) | Err(MonitorError::Taken(_) | MonitorError::Unsettled(Unsettled::Refused(_))) => {
                    Ok(None)
                }
                Err(MonitorError::Unsettled(unsettled)) => Err(unsettled),
            },
        }
    }

    /// Catches up with an account. Returns when the job continues, where it could not finish in its time.
    async fn catch_up(&self, account: AccountId, moment: Moment) -> Result<Option<DateTime<Utc>>, Unsettled> {
        let others = Others {
            activity: self.activity,
            bus: &NoBus,
            recharges: self.recharges,
            tasks: self.jobs.tasks,
            moment,
            grace: Duration::ZERO,
        };
        let budget = Duration::from_secs(CATCH_UP_SECONDS);
        match catch_up_account(self.jobs.ledger, &others, account, budget).boxed().await {
            Ok(CaughtUp::Through(_)) => Ok(None),
            Ok(CaughtUp::Partly(through)) => {
                tracing::info!(%account, through, "an account is partly caught up with");
                Ok(Some(moment.now))
            }
            Err(ProjectionError::Failed(fault)) if fault.is_unreadable() => {
                // It waits until the item is repaired.
                tracing::error!(%account, fault = &fault as &dyn Error, "{SKIPPED}");
                Ok(None)
            }
            Err(ProjectionError::Failed(fault)) => Err(fault.into()),
            Err(ProjectionError::Unnotified(unsent)) => Err(unsent.into()),
            Err(ProjectionError::Behind { .. }) => Ok(Some(moment.now)),
        }
    }

    async fn finish_purchase(
        &self,
        id: PurchaseId,
        moment: Moment,
    ) -> Result<Option<DateTime<Utc>>, Unsettled> {
        let Some(purchase) = self.jobs.ledger.purchase(id).await? else { return Ok(None) };
        let checkout = self.checkout(id.account.mode);
        let purchase = match checkout.resume(purchase.clone(), moment).await {
            Ok(purchase) => purchase,
            Err(Unsettled::InProgress) => purchase,
            Err(unsettled) => return Err(unsettled),
        };
        if purchase.next() != PurchaseStep::Rest {
            return Ok(Some(purchase.check_at(moment.now)));
        }
        if !purchase.has_open_reversal() {
            return Ok(None);
        }
        let purchase = Box::pin(checkout.reverse(purchase, moment)).await?;
        Ok(purchase.has_open_reversal().then(|| purchase.check_at(moment.now)))
    }
}

/// Whether a job may call a payment provider.
fn calls_provider(job: Job) -> bool {
    match job {
        Job::Purchase(_) | Job::Recharge(_) => true,
        Job::Calendar(_)
        | Job::Plan(_)
        | Job::Monitor(_)
        | Job::Remainder(_)
        | Job::Webhooks(_)
        | Job::CatchUp(_) => false,
    }
}
