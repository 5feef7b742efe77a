//! Retries suspended monitors after the monthly price of an operation has dropped.

use chrono::{DateTime, Duration, Utc};

use super::{JobError, Jobs, RenewalTask};
use domain::AccountId;
use store::{DIRECTORY_SHARDS, Moment};

/// The maximum number of accounts in one task.
const PAGE: i32 = 200;

/// How many hours the hourly sweep looks back for price drops: longer than the time between two sweeps.
const SWEEP_HOURS: i64 = 2;

/// The delay of the first tasks, in seconds: by then every function has dropped cached prices (after 60). A function
/// that cannot read the settings keeps them for up to 15 minutes; the hourly sweep then comes after that.
const CACHE_SECONDS: u16 = 61;

impl Jobs<'_> {
    /// Retries the monitors that wait for credits if the monthly price of an operation has dropped since `since`. Returns
    /// the number of directory shards for which a task was sent.
    ///
    /// # Errors
    /// When the store or the queue is unavailable.
    pub async fn retry_after_price_drop(&self, since: DateTime<Utc>, moment: Moment) -> Result<u8, JobError> {
        let catalogue = self.settings.catalogue(moment.wall).await?;
        if !catalogue.prices.monthly_fell(since, moment.now) {
            return Ok(0);
        }
        for shard in 0..DIRECTORY_SHARDS {
            self.tasks.send(&RenewalTask::Waiting { shard, after: None }, CACHE_SECONDS).await?;
        }
        Ok(DIRECTORY_SHARDS)
    }

    /// As [`Jobs::retry_after_price_drop`] since the last hourly sweep: a planned price takes effect without a request.
    ///
    /// # Errors
    /// When the store or the queue is unavailable.
    pub async fn sweep_price_drops(&self, moment: Moment) -> Result<u8, JobError> {
        let back = Duration::try_hours(SWEEP_HOURS).unwrap_or_default();
        self.retry_after_price_drop(moment.now.checked_sub_signed(back).unwrap_or(moment.now), moment).await
    }

    /// Sends a task for each account of a page that has monitors, and a task for the next page.
    pub(super) async fn retry_page(&self, shard: u8, after: Option<AccountId>) -> Result<(), JobError> {
        let (page, is_last) = self.ledger.directory_page(shard, after, PAGE).await?;
        for listed in page.iter().filter(|listed| listed.monitored) {
            self.tasks.send(&RenewalTask::Monitors { account: listed.account, after: None }, 0).await?;
        }
        if let Some(last) = page.last().filter(|_| !is_last) {
            self.tasks.send(&RenewalTask::Waiting { shard, after: Some(last.account) }, 0).await?;
        }
        Ok(())
    }
}
