//! What the request for an export does: it begins the export, and makes a small one at once.

use std::error::Error;

use chrono::TimeDelta;
use domain::{Export, ExportContent, ExportStage, ExportStep};
use ports::Moment;
use store::{Fault, Job, ScheduledJob, Unsettled};

use crate::Exporter;
use crate::charge::{hold, release};
use crate::make::{Making, MakingLimits};

/// The delay of the job that finishes an export if its request crashes: longer than the lease of the request.
const JOB_DELAY: TimeDelta = TimeDelta::seconds(60);

/// What a request for an export is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportAnswer {
    /// The export as it is now.
    Export(Box<Export>),
    /// The account has as many unfinished exports as it may have; nothing was begun.
    TooMany,
}

impl Exporter<'_> {
    /// Begins an export, makes it at once if it is small, and leaves it to the function `export` otherwise.
    ///
    /// # Errors
    /// [`Unsettled::Refused`] when its credits cannot be held: nothing is left of it then. [`Unsettled::InProgress`] once
    /// it will be made, and its state is not known. [`Unsettled::Failed`] when nothing was begun.
    pub async fn begin(&self, asked: Export, moment: Moment) -> Result<ExportAnswer, Unsettled> {
        let due = self.clock.now();
        let due = due.checked_add_signed(JOB_DELAY).unwrap_or(due);
        let job = self.ledger.schedule_for_request(Job::Export(asked.key), due).await?;
        if !self.ledger.register_export(asked.key).await? {
            self.ledger.remove_job(&job).await?;
            return Ok(ExportAnswer::TooMany);
        }
        // If its answer is lost, it may be written.
        let begun = self.ledger.begin_export(&asked).await.map_err(as_in_progress)?;
        if begun.is_some() {
            // Another attempt of the request has begun it at the same time.
            return Err(Unsettled::InProgress);
        }
        self.carry_out(asked, Some(job), moment).await
    }

    /// Continues an export that an earlier attempt of the request has begun.
    ///
    /// # Errors
    /// As [`Exporter::begin`].
    pub async fn resume(&self, export: Export, moment: Moment) -> Result<ExportAnswer, Unsettled> {
        match export.next(self.clock.now(), moment.wall) {
            // Its request has not been answered yet, and may be refused.
            ExportStep::Wait if export.stage == ExportStage::Begun || export.is_unheld() => {
                Err(Unsettled::InProgress)
            }
            ExportStep::Make if export.stage == ExportStage::Begun => {
                let leased = self.ledger.save_export(export.leased_to_request(moment.wall)).await?;
                self.carry_out(leased.ok_or(Unsettled::InProgress)?, None, moment).await
            }
            ExportStep::Settle => {
                let settled = self.settle(export, moment).await.map_err(in_progress)?;
                Ok(ExportAnswer::Export(settled.into()))
            }
            ExportStep::Rest | ExportStep::Wait | ExportStep::Make | ExportStep::GiveUp => {
                Ok(ExportAnswer::Export(export.into()))
            }
        }
    }

    async fn carry_out(
        &self,
        export: Export,
        job: Option<ScheduledJob>,
        moment: Moment,
    ) -> Result<ExportAnswer, Unsettled> {
        let hold = match hold(self.ledger, &export, moment).await {
            Ok(hold) => hold,
            Err(unheld @ (Unsettled::Refused(_) | Unsettled::HoldsEnded | Unsettled::Failed(_))) => {
                self.withdraw(&export, job).await.map_err(as_in_progress)?;
                return Err(unheld);
            }
            Err(unsettled) => return Err(unsettled),
        };
        let export = Export { hold, ..export };
        match self.make_or_queue(export, moment).await {
            Ok(export) => {
                if let Some(job) = job.filter(|_| export.is_finished())
                    && let Err(fault) = self.ledger.remove_job(&job).await
                {
                    tracing::warn!(
                        fault = &fault as &dyn Error,
                        "a job that has nothing left to do runs in a minute"
                    );
                }
                Ok(ExportAnswer::Export(export.into()))
            }
            Err(unsettled) => Err(in_progress(unsettled)),
        }
    }

    /// Makes the file if it is small; otherwise, or if it fails, leaves it to the function `export`.
    async fn make_or_queue(&self, export: Export, moment: Moment) -> Result<Export, Unsettled> {
        let is_large = export.of.is_some_and(|of| Export::ROWS_AT_ONCE < of);
        if is_large || export.key.content == ExportContent::Organisation {
            return self.queue(export, moment).await;
        }
        let made = match self.make(export.clone(), MakingLimits::at_once(moment.wall)).await {
            Ok(Making::Made(export, made)) => self.keep(export, made).await,
            Ok(Making::Impossible(export, error)) => {
                Ok(self.ledger.save_export(export.failing(error)).await?)
            }
            Ok(Making::TooMuch(export) | Making::NotYet(export)) => {
                return self.queue(export, moment).await;
            }
            Ok(Making::Superseded) => Ok(None),
            Err(error) => Err(error.into()),
        };
        match made {
            Ok(Some(decided)) => self.settle(decided, moment).await,
            Ok(None) => self.taken(export, moment).await,
            Err(unsettled) => {
                tracing::warn!(cause = &unsettled as &dyn Error, "an export is left to the function export");
                self.queue(export, moment).await
            }
        }
    }

    async fn queue(&self, export: Export, moment: Moment) -> Result<Export, Unsettled> {
        let Some(queued) = self.ledger.save_export(export.clone().queued()).await? else {
            return self.taken(export, moment).await;
        };
        if let Err(error) = self.queue.send(&queued.key, 0).await {
            tracing::warn!(error = &error as &dyn Error, "an export waits for its scheduled job");
        }
        Ok(queued)
    }

    /// The export as another process has changed it. If that has removed it, because it found the credits lacking, what
    /// this one holds is released.
    async fn taken(&self, export: Export, moment: Moment) -> Result<Export, Unsettled> {
        match self.ledger.export(export.key).await? {
            Some(known) => Ok(known),
            None => {
                if export.hold.is_some() {
                    release(self.ledger, &export, moment).await?;
                }
                Err(Unsettled::InProgress)
            }
        }
    }

    /// Removes an export whose credits are not held.
    async fn withdraw(&self, export: &Export, job: Option<ScheduledJob>) -> Result<(), Fault> {
        if !self.ledger.remove_export(export).await? {
            return Err(Fault::Busy);
        }
        self.ledger.unregister_export(export.key).await?;
        match job {
            Some(job) => self.ledger.remove_job(&job).await,
            None => Ok(()),
        }
    }
}

/// Once an export is begun, it will be made, so the answer to a fault must not be that nothing happened.
fn as_in_progress(fault: Fault) -> Unsettled {
    in_progress(fault.into())
}

fn in_progress(unsettled: Unsettled) -> Unsettled {
    tracing::warn!(cause = &unsettled as &dyn Error, "an export is left to its scheduled job");
    Unsettled::InProgress
}
