//! The clock of a test ledger.

use chrono::{DateTime, SubsecRound, Utc};

use crate::table::attribute::{millis, millis_of};
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use domain::{AccountId, Mode};
use ports::{Moment, SUBSECOND_DIGITS};

/// The attribute with the clock's time: milliseconds since 1970.
const NOW: &str = "now";

impl Ledger {
    /// The time on the clock of a test ledger; `None` when it was never set. Live ledgers have no clock of their own,
    /// and nothing is read for them.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn test_clock(&self, account: AccountId) -> Result<Option<DateTime<Utc>>, Fault> {
        if account.mode == Mode::Live {
            return Ok(None);
        }
        let item = self.table.get(&Key::TestClock(account), "read a test clock").await?;
        Ok(item.and_then(|item| millis_of(&item, NOW)))
    }

    /// The moment by an account's clock: `moment`, unless the account has a test clock.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn moment_of(&self, account: AccountId, moment: Moment) -> Result<Moment, Fault> {
        let own = self.test_clock(account).await?;
        Ok(Moment { now: own.unwrap_or(moment.now), ..moment })
    }

    /// Sets the clock of a test ledger, which never goes back. Returns its time: `now`, or a later one that was set
    /// before.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn set_test_clock(
        &self,
        account: AccountId,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, Fault> {
        let now = now.trunc_subsecs(SUBSECOND_DIGITS);
        let update = UpdateExpression::new("SET #now = :now")
            .only_if("attribute_not_exists(#now) OR #now <= :now")
            .name("#now", NOW)
            .value(":now", millis(now));
        if self.table.update(&Key::TestClock(account), update, "set a test clock").await? {
            return Ok(now);
        }
        Ok(self.test_clock(account).await?.unwrap_or(now))
    }
}
