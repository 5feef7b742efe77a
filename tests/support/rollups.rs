//! What the rollups of a test ledger count.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use domain::{AccountId, Period, Rollup};

use crate::TestLedger;

impl TestLedger {
    /// The rollups of an account's days in a month, with what its watermark holds.
    pub async fn rollups(&self, id: AccountId, month: Period) -> BTreeMap<NaiveDate, Rollup> {
        let watermark = self.ledger.projected_through(id).await.unwrap();
        let days = month.start().date_naive()..=month.next().start().date_naive().pred_opt().unwrap();
        self.activity().day_rollups(id, days, watermark.notified().pending.as_ref()).await.unwrap()
    }

    /// How many transactions of an operation the rollups of a month count.
    pub async fn counted(&self, id: AccountId, month: Period, operation: &str) -> u64 {
        let days = self.rollups(id, month).await;
        let cells = days.values().flat_map(|day| &day.cells);
        cells.filter(|(cell, _)| cell.line.operation.as_str() == operation).map(|(_, sum)| sum.calls).sum()
    }
}
