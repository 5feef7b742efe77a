//! The months of an account that are closed.

use domain::{AccountId, Period};
use store::Fault;

use crate::App;

impl App {
    /// The months of an account that are closed and counted, the newest first: those that have a monthly statement. Costs a
    /// read or two for each month that is not closed yet.
    ///
    /// # Errors
    /// When a table does not answer.
    pub async fn closed_months(&self, account: AccountId) -> Result<Vec<Period>, Fault> {
        let first = account.first_month();
        let mut months = vec![];
        let mut month = self.last_closed(account).await?;
        while let Some(closed) = month.filter(|month| first <= *month) {
            months.push(closed);
            month = Some(closed.previous());
        }
        Ok(months)
    }

    /// The last month that is closed and counted; `None` where none is.
    async fn last_closed(&self, account: AccountId) -> Result<Option<Period>, Fault> {
        let watermark = self.ledger.projected_through(account).await?;
        let first = account.first_month();
        let mut month = watermark.open_month().map(Period::previous);
        while let Some(closed) = month.filter(|month| first <= *month) {
            if self.ledger.closed_month(account, closed, &watermark).await?.is_some() {
                return Ok(Some(closed));
            }
            month = Some(closed.previous());
        }
        Ok(None)
    }
}
