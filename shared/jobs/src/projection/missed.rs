//! Projection of what was missed of an account, by its rows: its records were lost or could not be projected.

use std::time::Duration;

use domain::AccountId;
use store::Ledger;
use tokio::time::Instant;

use super::account::AccountRecords;
use super::{Others, ProjectionError};

/// How far an account was projected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissedProgress {
    /// Through its last transaction.
    Through(u64),
    /// Through an earlier one: the time was over. The progress is saved.
    Partly(u64),
}

/// Projects what was not projected of an account, by its rows, in slices. Saves its progress after each slice and ends with
/// the slice that takes longer than `budget`.
///
/// # Errors
/// When the table does not answer, or a row is missing or unreadable; when auto-recharge or renewal cannot be notified.
pub async fn project_missed(
    ledger: &Ledger,
    others: &Others<'_>,
    id: AccountId,
    budget: Duration,
) -> Result<MissedProgress, ProjectionError> {
    let start = Instant::now();
    let records = AccountRecords { ledger, others, id };
    let Some(account) = ledger.account(id).await? else { return Ok(MissedProgress::Through(0)) };
    records.notify_recharge(&account, &ledger.watch(id, true).await?).await?;
    let Some(last) = ledger.complete(&account).await? else { return Ok(MissedProgress::Through(0)) };
    let mut watermark = ledger.projected_through(id).await?;
    let below = account.sequence.saturating_add(1);
    let mut missed = ledger.missed_entries(id, &watermark, last.time).await?;
    let mut has_completed_skipped = false;
    while watermark.notified_through() < account.sequence {
        let slice = match missed.slice(below).await {
            Err(fault)
                if fault.is_unreadable() && !has_completed_skipped && ledger.complete_skipped(id).await? =>
            {
                has_completed_skipped = true;
                missed = ledger.missed_entries(id, &watermark, last.time).await?;
                continue;
            }
            slice => slice?,
        };
        watermark = records.follow_slice(watermark, slice, last.time).await?;
        if budget <= start.elapsed() && watermark.notified_through() < account.sequence {
            return Ok(MissedProgress::Partly(watermark.notified_through()));
        }
    }
    // The rows may be projected and only the notification be missing.
    records.notify_monitors().await?;
    Ok(MissedProgress::Through(watermark.notified_through()))
}
