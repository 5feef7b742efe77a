use chrono::{DateTime, Duration, Utc};

use super::Calendar;
use crate::domain::{AccountId, News};
use crate::store::{Errand, Fault, Moment, Unsettled};

/// How many seconds after a lot with an end was asked for its account is first looked at: by then it is
/// there, or never will be.
const LOOK_SECONDS: i64 = 60;

impl Calendar<'_> {
    /// Sees to it that the end of a lot that is about to be opened is booked, and told before.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn expect_end(&self, account: AccountId, moment: Moment) -> Result<(), Fault> {
        let wait = Duration::try_seconds(LOOK_SECONDS).unwrap_or_default();
        let due = moment.now.checked_add_signed(wait).unwrap_or(moment.now);
        self.ledger.note(Errand::Calendar(account), due).await.map(|_| ())
    }

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
