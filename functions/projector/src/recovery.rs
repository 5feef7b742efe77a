//! Recovery of records that the stream has lost.

use std::error::Error;

use domain::{AccountId, UsageRecord};
use store::{AccountChange, ChainRows, Ledger, WatermarkStep};

use super::skip::{is_unreadable, skipped};
use super::{AccountRows, Others, Projection, earlier_of, emit_changes, pays, retry_monitors};

impl Projection {
    /// Projects records that the stream has lost: those in the dead-letter queue, and those that expired before they
    /// were read. Their rows have the same content. Returns the earliest place to deliver again; nothing after it is
    /// emitted or counted. If rows are missing or cannot be read, the account waits, and the others continue.
    pub(crate) async fn recover(&mut self, ledger: &Ledger, others: &Others<'_>) -> Option<String> {
        let mut again: Option<String> = None;
        let mut left = Vec::new();
        for (account, span) in &mut self.spans {
            if let Err(error) = recover(ledger, others, *account, span).await {
                if is_unreadable(error.as_ref()) {
                    self.stands_still = true;
                    skipped(*account, error.as_ref());
                } else {
                    let error = error.as_ref() as &dyn Error;
                    tracing::error!(%account, error, "lost records could not be recovered");
                    again = again.into_iter().chain([span.place.clone()]).reduce(earlier_of);
                }
                span.behind = true;
                if span.watermark.through().saturating_add(1) < last_run(&span.rows) {
                    left.push(*account);
                }
            }
        }
        self.spans.retain(|account, _| !left.contains(account));
        again
    }
}

async fn recover(
    ledger: &Ledger,
    others: &Others<'_>,
    account: AccountId,
    span: &mut AccountRows,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let first = last_run(&span.rows);
    span.watermark = ledger.watermark_for(account, first).await?;
    loop {
        let missed = match ledger.entries_without_events(account, &span.watermark, first, span.time).await {
            Err(fault) if fault.is_unreadable() && ledger.complete_skipped(account).await? => {
                ledger.entries_without_events(account, &span.watermark, first, span.time).await?
            }
            missed => missed?,
        };
        let Some(last) = missed.last() else { return Ok(()) };
        let (known, through) = (span.watermark.notified_through(), last.sequence);
        tracing::warn!(%account, known, through, "the stream has lost records; their rows are projected");
        let spent: Vec<_> = missed.iter().filter_map(UsageRecord::by).collect();
        emit_changes(ledger, others, account, &AccountChange::of_receipts(&missed), &spent).await?;
        // Check for credits before the watermark advances: these rows are not checked again.
        if missed.iter().any(|receipt| pays(&receipt.entry)) {
            retry_monitors(ledger, others, account).await?;
        }
        let (watermark, rows) = (span.watermark.clone(), ChainRows::new());
        let step = WatermarkStep { watermark, through, notified_through: through };
        span.watermark = ledger.advance_watermark(account, step, &rows, span.time).await?;
    }
}

/// The first number of the last run of rows without a gap.
fn last_run(rows: &ChainRows) -> u64 {
    let mut numbers = rows.keys().rev().copied();
    let last = numbers.next().unwrap_or_default();
    numbers.fold(last, |first, number| if number.saturating_add(1) == first { number } else { first })
}
