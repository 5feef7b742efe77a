//! Requeueing of an account after a fault, so that the fault delays no other account.

use chrono::DateTime;
use domain::AccountId;
use store::{Fault, Job};

use super::{DeliveryRequest, WebhookWorker};

/// The delays after the first faults in a row, in seconds. Each is longer than a lease, which a worker that had a fault
/// may have left behind.
const DELAY_SECONDS: [u16; 4] = [65, 130, 260, 520];

/// The delay of every later message, in seconds: the longest that SQS allows.
const DELAY_SECONDS_MAX: u16 = 900;

/// Jobs of accounts with more faults in a row are due at multiples of this number of seconds, so that an account has one
/// such job, however many messages it had.
const SLOT_SECONDS: i64 = 900;

impl WebhookWorker<'_> {
    /// Requests another delivery to the webhooks of an account after a fault; `faults` is the number of faults in a row
    /// before it. The delay grows from one minute to fifteen and stays there until the account is served.
    ///
    /// # Errors
    /// When neither the queue nor the table of scheduled jobs is available.
    pub async fn requeue(&self, account: AccountId, faults: u32) -> Result<(), Fault> {
        let place = usize::try_from(faults).unwrap_or(usize::MAX);
        let again = DeliveryRequest::AfterFault { account, faults: faults.saturating_add(1) };
        match DELAY_SECONDS.get(place) {
            Some(delay) => match self.requests.send(&again, *delay).await {
                Ok(()) => Ok(()),
                Err(_) => self.schedule_slot(account).await,
            },
            None => match self.schedule_slot(account).await {
                Ok(()) => Ok(()),
                Err(_) => Ok(self.requests.send(&again, DELAY_SECONDS_MAX).await?),
            },
        }
    }

    async fn schedule_slot(&self, account: AccountId) -> Result<(), Fault> {
        let now = self.clock.now().now;
        let slot = now.timestamp().div_euclid(SLOT_SECONDS).saturating_add(1).saturating_mul(SLOT_SECONDS);
        let due = DateTime::from_timestamp(slot, 0).unwrap_or(now);
        self.ledger.schedule(Job::Webhooks(account), due).await.map(|_| ())
    }
}
