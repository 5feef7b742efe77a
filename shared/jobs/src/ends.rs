use chrono::{DateTime, Duration, Utc};

use super::Calendar;
use domain::{AccountId, News};
use store::{Ended, Moment, Unsettled};

/// How many holds one look closes, and how many looks one errand takes.
const CLOSED_AT_ONCE: usize = 25;
const LOOKS_MAX: u32 = 8;

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
        let mut known = match self.ledger.current(account, moment).await {
            // An errand may have been noted for an account that there is not.
            Err(Unsettled::NoAccount) => return Ok(None),
            known => known?,
        };
        // Also where nothing is held any more: what ended a hold may not have been written down whole.
        let mut ended = Ended { closed: true, left: false };
        for _ in 0..LOOKS_MAX {
            if !ended.closed {
                break;
            }
            ended = self.ledger.expire_ended(account, CLOSED_AT_ONCE, moment).await?;
            if ended.closed {
                known = self.ledger.current(account, moment).await?;
            }
        }
        let is_over = !ended.closed && !ended.left;
        self.ledger.look_at(&known, moment).await?;
        let ends = known.ends(&self.ledger.alerts(account).await?, moment.now);
        for (lot, terms) in ends.notices {
            self.ledger.tell(account, &News::Expiring { lot, terms }, moment).await?;
        }
        // Those that somebody else is at work on, and what is too much for one errand.
        let wait = Duration::try_seconds(AGAIN_SECONDS).filter(|_| !is_over);
        let again = wait.and_then(|wait| moment.now.checked_add_signed(wait));
        Ok(again.into_iter().chain(ends.next).min())
    }
}
