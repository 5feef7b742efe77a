use chrono::{DateTime, Duration, Utc};

use super::Calendar;
use crate::domain::{AccountId, News};
use crate::store::{Moment, Unsettled};

/// After how many seconds holds that have ended and are not closed are looked at again.
const AGAIN_SECONDS: i64 = 5;

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
        let mut known = match self.ledger.catch_up(account, moment).await {
            // An errand may have been noted for an account that there is not.
            Err(Unsettled::NoAccount) => return Ok(None),
            known => known?,
        };
        let mut held = None;
        while !known.held.is_zero()
            && held != Some(known.held)
            && self.ledger.has_ended_holds(account, moment.now).await?
        {
            // There were more than one look gives back.
            held = Some(known.held);
            known = self.ledger.catch_up(account, moment).await?;
        }
        let ends = known.ends(self.ledger.alerts(account).await?, moment.now);
        for (lot, terms) in ends.notices {
            self.ledger.tell(account, &News::Expiring { lot, terms }, moment).await?;
        }
        // Holds that somebody else is at work on.
        let again = match known.held.is_zero() || !self.ledger.has_ended_holds(account, moment.now).await? {
            true => None,
            false => moment.now.checked_add_signed(Duration::try_seconds(AGAIN_SECONDS).unwrap_or_default()),
        };
        Ok(again.into_iter().chain(ends.next).min())
    }
}
