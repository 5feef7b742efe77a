//! The scheduled job of an account: records what has become due and notifies about credits that expire soon.

use chrono::{DateTime, Duration, Utc};

use super::Jobs;
use domain::{AccountId, Notification};
use store::{EndedHolds, Moment, Unsettled};

/// The maximum number of holds that one step closes.
const CLOSED_AT_ONCE: usize = 25;

/// The maximum number of steps in one job.
const STEPS_MAX: u32 = 8;

/// After how many seconds the job runs again for expired holds that are still open.
const RETRY_SECONDS: i64 = 5;

impl Jobs<'_> {
    /// Records what has become due on an account, and emits notifications about credits that expire soon. Returns when
    /// the job is next due, if it is.
    ///
    /// # Errors
    /// When the table is unavailable; the job should then be retried.
    pub async fn run_account_job(
        &self,
        account: AccountId,
        moment: Moment,
    ) -> Result<Option<DateTime<Utc>>, Unsettled> {
        let moment = self.ledger.moment_of(account, moment).await?;
        let mut known = match self.ledger.current(account, moment).await {
            // A job may have been scheduled for an account that was never created.
            Err(Unsettled::NoAccount) => return Ok(None),
            known => known?,
        };
        // Runs even if no credits are held: the posting that ended a hold may not have been projected completely.
        let mut ended = EndedHolds { closed: true, left: false };
        for _ in 0..STEPS_MAX {
            if !ended.closed {
                break;
            }
            ended = self.ledger.close_ended_holds(account, CLOSED_AT_ONCE, moment).await?;
            if ended.closed {
                known = self.ledger.current(account, moment).await?;
            }
        }
        let is_finished = !ended.closed && !ended.left;
        self.ledger.check_alerts(&known, moment).await?;
        let ends = known.ends(&self.ledger.alerts(account).await?, moment.now);
        for (lot, terms) in ends.notices {
            self.ledger.emit(account, &Notification::Expiring { lot, terms }, moment).await?;
        }
        // For holds that another process is closing, and for more than one job can close.
        let wait = Duration::try_seconds(RETRY_SECONDS).filter(|_| !is_finished);
        let retry = wait.and_then(|wait| moment.now.checked_add_signed(wait));
        Ok(retry.into_iter().chain(ends.next).min())
    }
}
