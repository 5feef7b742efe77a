//! The roll-forward of a month: adds up the values of all live accounts' months, shard by shard of the directory.
//!
//! Each shard has one chain of tasks, as in the renewal sweep: a task values one page of accounts, saves the shard's sums
//! and sends the next task. An account that cannot be valued yet is set aside, so that it does not delay the others, and is
//! tried again once all others are counted. A chain that makes no progress ends; the next request for the report starts it
//! again.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use super::month_values::Valued;
use super::{JobError, Jobs, RenewalTask};
use domain::{AccountId, Mode, Period};
use ports::QueueError;
use store::{AccountWaits, DIRECTORY_SHARDS, Moment, RollForwardPart, WAITING_MAX};

/// The maximum number of accounts in one task. Each may have a year of months to value: some ten seconds of work.
const PAGE: i32 = 25;

/// After how many seconds without a step the chain of a shard has ended: its worker crashed, and its message was given up.
const STEP_SECONDS: i64 = 600;

impl Jobs<'_> {
    /// Starts the roll-forward of a closed month in each shard of the directory that has none, and again in those whose
    /// chain has ended before all accounts were counted. Returns the number of tasks that it sent.
    ///
    /// # Errors
    /// When the queue is unavailable.
    pub async fn start_roll_forward(
        &self,
        month: Period,
        parts: &BTreeMap<String, RollForwardPart>,
        now: DateTime<Utc>,
    ) -> Result<u8, QueueError> {
        let mut sent = 0_u8;
        for shard in 0..DIRECTORY_SHARDS {
            let part = parts.get(&format!("{shard:02}"));
            if part.is_none_or(|part| has_ended(part, now)) {
                self.tasks.send(&RenewalTask::RollForward { month, shard }, 0).await?;
                sent = sent.saturating_add(1);
            }
        }
        Ok(sent)
    }

    /// Adds one page of accounts to a shard's part, and sends the next task.
    pub(super) async fn roll_forward_page(
        &self,
        month: Period,
        shard: u8,
        moment: Moment,
    ) -> Result<(), JobError> {
        let mut part = self.ledger.roll_forward_part(month, shard).await?;
        if part.is_done() || moment.now < month.next().start() {
            return Ok(());
        }
        let tries_again = part.listed || part.waiting.len() >= WAITING_MAX;
        let goes_on = if tries_again {
            self.try_waiting(month, &mut part, moment).await?
        } else {
            self.add_accounts(month, shard, &mut part, moment).await?
        };
        part.stalled = !goes_on && !part.is_done();
        part.stepped_at = moment.now;
        let goes_on = goes_on && !part.is_done();
        let is_ours = self.ledger.save_roll_forward_part(month, shard, part).await?;
        if is_ours && goes_on {
            self.tasks.send(&RenewalTask::RollForward { month, shard }, 0).await?;
        }
        Ok(())
    }

    /// Adds the next accounts of the directory. Returns whether there is more to do.
    async fn add_accounts(
        &self,
        month: Period,
        shard: u8,
        part: &mut RollForwardPart,
        moment: Moment,
    ) -> Result<bool, JobError> {
        let (page, is_last) = self.ledger.directory_page(shard, part.after, PAGE).await?;
        for listed in &page {
            if part.waiting.len() >= WAITING_MAX {
                return Ok(true);
            }
            if listed.account.mode == Mode::Live {
                self.add_account(month, listed.account, part, moment).await?;
            }
            part.after = Some(listed.account);
        }
        part.listed = is_last;
        Ok(true)
    }

    /// Tries the accounts again that were set aside. Returns whether that made a difference.
    async fn try_waiting(
        &self,
        month: Period,
        part: &mut RollForwardPart,
        moment: Moment,
    ) -> Result<bool, JobError> {
        let before = part.waiting.len();
        let waiting: Vec<_> = part.waiting.keys().copied().collect();
        for account in waiting {
            self.add_account(month, account, part, moment).await?;
        }
        let is_valuing = part.waiting.values().any(|why| *why == AccountWaits::Valuing);
        Ok(part.waiting.len() < before || is_valuing)
    }

    async fn add_account(
        &self,
        month: Period,
        account: AccountId,
        part: &mut RollForwardPart,
        moment: Moment,
    ) -> Result<(), JobError> {
        match self.month_value(account, month, moment).await? {
            Valued::As(value) => part.add(account, &value),
            Valued::Absent => {
                part.waiting.remove(&account);
            }
            Valued::Waits(why) => {
                part.waiting.insert(account, why);
            }
        }
        Ok(())
    }
}

/// Whether no task is on its way that continues a part.
fn has_ended(part: &RollForwardPart, now: DateTime<Utc>) -> bool {
    let wait = Duration::try_seconds(STEP_SECONDS).unwrap_or_default();
    let is_late = part.stepped_at.checked_add_signed(wait).is_some_and(|late| late <= now);
    !part.is_done() && (part.stalled || is_late)
}
