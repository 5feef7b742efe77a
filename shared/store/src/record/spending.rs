//! What an account's purchases of a day cost, and when payment providers were last polled for refunds and disputes.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::table::attribute::{millis, millis_of, number, number_of};
use crate::table::condition::UpdateExpression;
use crate::table::error::{Fault, Unsettled};
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use domain::{AccountId, Mode, Money, Refusal, SpendingLimit};

/// For how many days the sum of a day is kept.
const DAYS_KEPT: u64 = 40;

/// The attribute with the sum of a day, in minor units.
const SPENT: &str = "spent";

/// When a payment provider was last polled for refunds and disputes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReversalPoll {
    /// In business time.
    pub now: DateTime<Utc>,
    /// In system time, which agrees with the provider's clock.
    pub wall: DateTime<Utc>,
}

impl Ledger {
    /// Counts `price` toward what an account spends on a day. A price is counted before its purchase begins: if the
    /// process crashes in between, or the answer is lost, the day has less room than it should, never more.
    ///
    /// # Errors
    /// [`Refusal::SpendingLimit`] when the price does not fit into the limit; [`Unsettled::Failed`].
    pub async fn count_spending(
        &self,
        account: AccountId,
        day: NaiveDate,
        price: Money,
        limit: SpendingLimit,
    ) -> Result<(), Unsettled> {
        let Some(room) = limit.room_for(price) else {
            let spent = self.spent(account, day).await?;
            return Err(Refusal::SpendingLimit { price, limit, spent }.into());
        };
        let end =
            day.checked_add_days(Days::new(DAYS_KEPT)).unwrap_or(day).and_time(NaiveTime::MIN).and_utc();
        let update = UpdateExpression::new("SET #ttl = :end ADD #spent :price")
            .only_if("attribute_not_exists(#spent) OR #spent <= :room")
            .name("#ttl", "ttl")
            .name("#spent", SPENT)
            .value(":end", AttributeValue::N(end.timestamp().to_string()))
            .value(":price", number(price.amount()))
            .value(":room", number(room));
        if self.once.update(&Key::Spending(account, day), update, "count what is spent").await? {
            return Ok(());
        }
        let spent = self.spent(account, day).await?;
        Err(Refusal::SpendingLimit { price, limit, spent }.into())
    }

    /// Subtracts a counted price, because nothing was charged.
    ///
    /// # Errors
    /// When the table does not answer; the day then has less room than it should.
    pub async fn uncount_spending(
        &self,
        account: AccountId,
        day: NaiveDate,
        price: Money,
    ) -> Result<(), Fault> {
        let update = UpdateExpression::new("SET #spent = #spent - :price")
            .only_if("#spent >= :price")
            .name("#spent", SPENT)
            .value(":price", number(price.amount()));
        // The condition fails once the sum of the day is deleted.
        self.once.update(&Key::Spending(account, day), update, "count what is spent").await.map(|_| ())
    }

    /// What an account has spent on a day, in minor units.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn spent(&self, account: AccountId, day: NaiveDate) -> Result<u64, Fault> {
        let item = self.table.get(&Key::Spending(account, day), "read what was spent").await?;
        Ok(item.and_then(|item| number_of(&item, SPENT)).unwrap_or(0))
    }

    /// When the provider of a mode was last polled for refunds and disputes; `None` when it never was.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn last_reversal_poll(&self, mode: Mode) -> Result<Option<ReversalPoll>, Fault> {
        let key = Key::ReversalPoll(mode);
        let item = self.table.read(&key, false, "read when the payment provider was polled").await?;
        let poll =
            |item| Some(ReversalPoll { now: millis_of(&item, "now")?, wall: millis_of(&item, "wall")? });
        Ok(item.and_then(poll))
    }

    /// Saves when the provider of a mode was polled for refunds and disputes.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn save_reversal_poll(&self, mode: Mode, poll: ReversalPoll) -> Result<(), Fault> {
        let mut item = Key::ReversalPoll(mode).attributes();
        item.insert("now".to_owned(), millis(poll.now));
        item.insert("wall".to_owned(), millis(poll.wall));
        self.table.put(item, "save when the payment provider was polled").await
    }
}
