use std::error::Error;

use domain::{AccountId, Spent};
use store::{Change, Ledger, Rows, WatermarkStep};

use super::skip::{is_unreadable, skipped};
use super::{Done, Others, Span, earlier_of, follow_changes, look_at_monitors, pays};

impl Done {
    /// Follows what the stream has lost: records that ended among the failures, or were older than the stream keeps
    /// them when somebody came to read them. Their rows are there, and say the same. The earliest place that has to
    /// be handled again if that is not possible; then nothing that comes after it is told or counted. Where rows are
    /// missing too, or do not read, the account stands still, and no other waits for it.
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
                    tracing::error!(%account, error, "lost records could not be made up for");
                    again = again.into_iter().chain([span.place.clone()]).reduce(earlier_of);
                }
                span.behind = true;
                if span.seen.through().saturating_add(1) < last_run(&span.rows) {
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
    span: &mut Span,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let first = last_run(&span.rows);
    span.seen = ledger.followed(account, first).await?;
    loop {
        let missed = match ledger.missed(account, &span.seen, first, span.time).await {
            // The rows of records that were skipped may be made by now.
            Err(fault) if fault.is_unreadable() && ledger.complete_skipped(account).await? => {
                ledger.missed(account, &span.seen, first, span.time).await?
            }
            missed => missed?,
        };
        let Some(last) = missed.last() else { return Ok(()) };
        let (known, through) = (span.seen.followed(), last.sequence);
        tracing::warn!(%account, known, through, "the stream has lost records; their rows are followed");
        let spent: Vec<_> = missed.iter().filter_map(Spent::by).collect();
        follow_changes(ledger, others, account, (&Change::told_by(&missed), &spent)).await?;
        // Before the watermark moves: nobody would come back to find that credits were among them.
        if missed.iter().any(|receipt| pays(&receipt.entry)) {
            look_at_monitors(ledger, others, account).await?;
        }
        let (seen, rows) = (span.seen.clone(), Rows::new());
        let step = WatermarkStep { seen, through, notified_through: through };
        span.seen = ledger.advance_watermark(account, step, &rows, span.time).await?;
    }
}

/// The first number of the last rows that have no gap between them.
fn last_run(rows: &Rows) -> u64 {
    let mut numbers = rows.keys().rev().copied();
    let last = numbers.next().unwrap_or_default();
    numbers.fold(last, |first, number| if number.saturating_add(1) == first { number } else { first })
}
