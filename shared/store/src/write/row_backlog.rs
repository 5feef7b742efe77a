//! Rows that could not be written, and the requests that they hold back.

use std::error::Error;

use futures_util::future::join_all;
use tracing::warn;

use crate::table::error::Fault;
use crate::table::ledger::Ledger;
use domain::{Account, AccountId, Receipt};

/// How many rows are written at the same time.
const ROWS_AT_ONCE: usize = 25;

impl Ledger {
    /// Records what has landed. The answer does not depend on it: rows that cannot be written are left to the projector, which
    /// writes them from the stream, and to the next request of this process.
    pub(crate) async fn record_or_leave(&self, account: &Account, receipts: &[Receipt]) {
        let mut is_throttled = false;
        self.record_each(account.id, receipts, |receipt, outcome| {
            let Err(fault) = outcome else { return };
            is_throttled |= fault.is_throttled();
            self.backlog.leave(account.id, receipt);
            let transaction = receipt.entry.id;
            warn!(account = %account.id, %transaction, fault = &fault as &dyn Error, "row left to the projector");
        })
        .await;
        if is_throttled {
            self.heat.throttled(account);
        }
    }

    /// Writes the rows that earlier requests of this process could not write.
    ///
    /// # Errors
    /// [`Fault::Backlogged`] while some of them cannot be written, or while another request writes them.
    pub(crate) async fn write_backlog(&self, account: AccountId) -> Result<(), Fault> {
        let Some(left) = self.backlog.of(account) else { return Ok(()) };
        let Ok(_turn) = left.turn.try_lock() else { return Err(Fault::Backlogged) };
        let rows = left.rows().clone();
        self.record_each(account, &rows, |receipt, outcome| {
            if outcome.is_ok() {
                left.written(receipt.entry.id);
            }
        })
        .await;
        if !left.rows().is_empty() {
            return Err(Fault::Backlogged);
        }
        self.backlog.close(account);
        Ok(())
    }

    /// Writes the rows of several transactions, some at once, and tells how each ended.
    async fn record_each(
        &self,
        account: AccountId,
        receipts: &[Receipt],
        mut ended: impl FnMut(&Receipt, Result<(), Fault>) + Send,
    ) {
        for some in receipts.chunks(ROWS_AT_ONCE) {
            let records = some.iter().map(|receipt| self.record(account, receipt));
            for (receipt, outcome) in some.iter().zip(join_all(records).await) {
                ended(receipt, outcome);
            }
        }
    }
}
