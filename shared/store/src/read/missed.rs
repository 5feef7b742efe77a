//! Transactions whose stream records were lost, found by their rows.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::chain::watermark::Watermark;
use crate::read::statement::{StatementCursor, StatementPlace, StatementQuery};
use crate::table::error::Fault;
use crate::table::ledger::Ledger;
use domain::{AccountId, EntryId, Receipt};

/// How many transactions are returned at once: a megabyte or so, and more than a batch has.
const MISSED_MAX: u64 = 1_000;

impl Ledger {
    /// The first thousand transactions without emitted events, by rising numbers, after `watermark` and below `before`;
    /// of a batch none or all. The stream lost their records, but the request that made an entry usually wrote its row
    /// too. `now` is no earlier than the last of them.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when rows are missing, so that the transactions are lost; when the table does not answer.
    pub async fn entries_without_events(
        &self,
        account: AccountId,
        watermark: &Watermark,
        before: u64,
        now: DateTime<Utc>,
    ) -> Result<Vec<Receipt>, Fault> {
        let first = watermark.notified_through().saturating_add(1);
        let below = before.min(first.saturating_add(MISSED_MAX));
        let mut cursor = (first < below).then(|| StatementCursor::below(below, EntryId::new(now, u128::MAX)));
        let mut missed = BTreeMap::new();
        while let Some(place) = cursor.filter(|place| first < place.number()) {
            let limit = usize::try_from(place.number().saturating_sub(first)).unwrap_or(usize::MAX);
            let place = StatementPlace { cursor: Some(place), limit };
            let page = self.statement(account, &StatementQuery::default(), place, now).await?;
            let receipts = page.receipts.into_iter().filter(|receipt| first <= receipt.sequence);
            missed.extend(receipts.map(|receipt| (receipt.sequence, receipt)));
            cursor = page.next;
        }
        if !missed.keys().copied().eq(first..below) {
            let lost = format!("{account} has not all rows from {first} to below {below}");
            return Err(Fault::corrupt("the stream", lost));
        }
        let mut missed: Vec<_> = missed.into_values().collect();
        if below < before {
            let batch = |receipt: &Receipt| receipt.details.batch.as_ref().map(|place| place.batch);
            let cut = missed.last().and_then(batch);
            while cut.is_some() && missed.last().and_then(batch) == cut {
                missed.pop();
            }
        }
        Ok(missed)
    }
}
