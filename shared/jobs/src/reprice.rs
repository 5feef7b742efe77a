use chrono::{DateTime, Duration, Utc};

use super::{Calendar, Task, Unfinished};
use domain::AccountId;
use store::{Moment, SHARDS};

/// How many accounts one task goes past.
const PAGE: i32 = 200;

/// For how many hours back the hourly sweep looks for prices that have fallen: longer than it takes to come again.
const SWEEP_HOURS: i64 = 2;

/// How many seconds a walk waits for everybody to have forgotten the old prices (a function remembers them for 60).
const FORGOTTEN_SECONDS: u16 = 61;

impl Calendar<'_> {
    /// Has monitors tried again that wait for credits, where the monthly price of an operation has fallen since
    /// `since`. In how many parts of the directory.
    ///
    /// # Errors
    /// When the store or the queue does not serve.
    pub async fn retry_fallen(&self, since: DateTime<Utc>, moment: Moment) -> Result<u8, Unfinished> {
        let catalogue = self.settings.catalogue(moment.wall).await?;
        if !catalogue.prices.monthly_fell(since, moment.now) {
            return Ok(0);
        }
        for shard in 0..SHARDS {
            self.tasks.send(&Task::Waiting { shard, after: None }, FORGOTTEN_SECONDS).await?;
        }
        Ok(SHARDS)
    }

    /// The same for prices that have fallen since the last sweep, or a little before: planned ones come into force
    /// without a call.
    ///
    /// # Errors
    /// When the store or the queue does not serve.
    pub async fn sweep_fallen(&self, moment: Moment) -> Result<u8, Unfinished> {
        let back = Duration::try_hours(SWEEP_HOURS).unwrap_or_default();
        self.retry_fallen(moment.now.checked_sub_signed(back).unwrap_or(moment.now), moment).await
    }

    /// Sends for the monitors of a page of accounts, and for the next page.
    pub(super) async fn retry_page(&self, shard: u8, after: Option<AccountId>) -> Result<(), Unfinished> {
        let (page, is_last) = self.ledger.listed(shard, after, PAGE).await?;
        for listed in page.iter().filter(|listed| listed.monitored) {
            self.tasks.send(&Task::Monitors { account: listed.account, after: None }, 0).await?;
        }
        if let Some(last) = page.last().filter(|_| !is_last) {
            self.tasks.send(&Task::Waiting { shard, after: Some(last.account) }, 0).await?;
        }
        Ok(())
    }
}
