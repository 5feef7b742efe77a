use chrono::{DateTime, Utc};

use super::Calendar;
use crate::domain::{AccountId, News};
use crate::store::{Moment, Unsettled};

impl Calendar<'_> {
    /// Writes down what time has done to an account, and tells its owner of credits that will end soon;
    /// when there is something to do next.
    ///
    /// # Errors
    /// When the table does not serve; it should then be asked again.
    pub async fn look_after(
        &self,
        account: AccountId,
        moment: Moment,
    ) -> Result<Option<DateTime<Utc>>, Unsettled> {
        let moment = self.ledger.moment_of(account, moment).await?;
        let known = match self.ledger.catch_up(account, moment).await {
            // An errand may have been noted for an account that there is not.
            Err(Unsettled::NoAccount) => return Ok(None),
            known => known?,
        };
        let ends = known.ends(self.ledger.alerts(account).await?, moment.now);
        for (lot, terms) in ends.notices {
            self.ledger.tell(account, &News::Expiring { lot, terms }, moment).await?;
        }
        Ok(ends.next)
    }
}
