//! Dispatch of scheduled jobs: what each kind does, and what follows when it fails.

use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{AccountId, Export, ExportKey, Mode, PurchaseId, PurchaseStep};
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt, stream};
use ports::{Clock, NoBus, Queue};
use scrip_payments::{Checkout, Deadline, Providers, RechargeRequest};
use scrip_webhooks::DeliveryRequest;
use store::{Activity, Fault, JOB_SHARDS, Job, Moment, ScheduledJob, Unsettled};

use super::budget::POSTPONE_TIME;
use super::projection::{MissedProgress, Others, ProjectionError, SKIPPED, project_missed};
use super::{Jobs, MonitorError};

/// How many stored copies of one job are removed at the same time.
const REMOVALS_AT_ONCE: usize = 16;

/// How long a job projects an account, before its last slice: less than the time of its kind.
const PROJECTION_TIME: Duration = Duration::from_secs(20);

/// How often an export that is not finished is handed to the function `export`: as often as its lease can have ended.
const EXPORT_CHECK: TimeDelta = TimeDelta::seconds(300);

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
    /// The queue of the function `export`.
    pub exports: &'a dyn Queue<ExportKey>,
    /// The table that usage is counted in.
    pub activity: &'a Activity,
    /// The clock.
    pub clock: &'a dyn Clock,
}

impl<'a> Dispatcher<'a> {
    /// The checkout for one job or event. Its deadline begins now.
    pub(super) fn checkout(&self, mode: Mode) -> Checkout<'a> {
        let Jobs { ledger, settings, .. } = self.jobs;
        Checkout {
            ledger,
            settings,
            provider: self.providers.of(mode),
            recharges: self.recharges,
            deadline: Deadline::from_now(),
        }
    }

    /// Runs the due jobs of all shards, and the daily poll of the payment providers if it is due. Returns how many jobs
    /// and events were handled. In a deployment, each shard and the poll have calls of their own.
    ///
    /// # Errors
    /// When the list of jobs cannot be read.
    pub async fn run_due(&self, moment: Moment) -> Result<usize, Fault> {
        let mut handled = Box::pin(self.poll_daily(moment)).await;
        for run in join_all((0..JOB_SHARDS).map(|shard| self.run_shard(shard))).await {
            handled = handled.saturating_add(run?.handled);
        }
        Ok(handled)
    }

    /// Postpones a job that failed: all its stored copies become one.
    ///
    /// # Errors
    /// When the list of jobs cannot be written.
    pub async fn postpone(&self, stored: &[ScheduledJob], moment: Moment) -> Result<(), Fault> {
        let Some(first) = stored.first() else { return Ok(()) };
        let due = moment.now.checked_add_signed(POSTPONE_TIME).unwrap_or(moment.now);
        self.jobs.ledger.schedule(first.job, due).await?;
        self.remove(stored.to_vec()).await
    }

    /// Runs one job.
    ///
    /// # Errors
    /// When the job failed; it is still scheduled.
    pub async fn run(&self, scheduled: &ScheduledJob, moment: Moment) -> Result<(), Unsettled> {
        self.run_stored(scheduled.job, &[*scheduled], moment).await
    }

    /// Does the work of a job, and removes its stored copies. A job that is to run again is scheduled before they are
    /// removed.
    ///
    /// A job of a test ledger that was scheduled before the ledger got a test clock is due by the test clock from now
    /// on.
    pub(super) async fn run_stored(
        &self,
        job: Job,
        stored: &[ScheduledJob],
        moment: Moment,
    ) -> Result<(), Unsettled> {
        let ledger = self.jobs.ledger;
        let clock = match job.uses_account_clock() {
            true => ledger.test_clock(job.account()).await?,
            false => None,
        };
        let moment = Moment { now: clock.unwrap_or(moment.now), ..moment };
        let (due, early): (Vec<_>, Vec<_>) =
            stored.iter().copied().partition(|stored| stored.due <= moment.now);
        for stored in early.into_iter().filter(|_| clock.is_some()) {
            ledger.leave_to_test_clock(&stored).await?;
        }
        let Some(last) = due.iter().map(|stored| stored.due).max() else { return Ok(()) };
        if let Some(next) = self.work(job, moment).await? {
            // Not at the time of a stored copy, because it would be removed with that.
            let later = last.checked_add_signed(TimeDelta::milliseconds(1)).unwrap_or(last);
            ledger.schedule(job, next.max(later)).await?;
        }
        Ok(self.remove(due).await?)
    }

    async fn remove(&self, stored: Vec<ScheduledJob>) -> Result<(), Fault> {
        let removals =
            stored.into_iter().map(|stored| async move { self.jobs.ledger.remove_job(&stored).await });
        let removed: Vec<_> = stream::iter(removals).buffer_unordered(REMOVALS_AT_ONCE).collect().await;
        removed.into_iter().collect()
    }

    /// The work of a job. Returns when the job is due again, if it is.
    async fn work(&self, job: Job, moment: Moment) -> Result<Option<DateTime<Utc>>, Unsettled> {
        let jobs = self.jobs;
        match job {
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
            Job::Projection(account) => self.project_account(account, moment).await,
            Job::Export(key) => self.finish_export(key, moment).await,
            Job::Plan(account) => jobs.apply_plan(account, moment).await.map(|()| None),
            Job::Monitor(id) => match jobs.finish_monitor(id, moment).await {
                Ok(_) | Err(MonitorError::Taken(_) | MonitorError::Unsettled(Unsettled::Refused(_))) => {
                    Ok(None)
                }
                Err(MonitorError::Unsettled(unsettled)) => Err(unsettled),
            },
        }
    }

    /// Projects what was missed of an account. Returns when the job continues, where it could not finish in its time.
    async fn project_account(
        &self,
        account: AccountId,
        moment: Moment,
    ) -> Result<Option<DateTime<Utc>>, Unsettled> {
        let others = Others {
            activity: self.activity,
            settings: self.jobs.settings,
            bus: &NoBus,
            recharges: self.recharges,
            tasks: self.jobs.tasks,
            moment,
            grace: Duration::ZERO,
        };
        match project_missed(self.jobs.ledger, &others, account, PROJECTION_TIME).boxed().await {
            Ok(MissedProgress::Through(_)) => Ok(None),
            Ok(MissedProgress::Partly(through)) => {
                tracing::info!(%account, through, "an account is partly projected");
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

    /// Hands an unfinished export to the function `export`, and returns when to look again. The job ends once the export
    /// is finished, or was never begun.
    async fn finish_export(
        &self,
        key: ExportKey,
        moment: Moment,
    ) -> Result<Option<DateTime<Utc>>, Unsettled> {
        let export = self.jobs.ledger.export(key).await?;
        if export.as_ref().is_none_or(Export::is_finished) {
            self.jobs.ledger.unregister_export(key).await?;
            return Ok(None);
        }
        self.exports.send(&key, 0).await?;
        Ok(Some(moment.now.checked_add_signed(EXPORT_CHECK).unwrap_or(moment.now)))
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
