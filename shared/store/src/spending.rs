use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use super::key::{Item, Key};
use super::{Fault, Ledger};
use domain::{AccountId, Mode, Money, SpendingLimit};

/// For how many days the sum of a day is kept.
const DAYS_KEPT: u64 = 40;

/// The attribute with the sum of a day, in minor units.
const SPENT: &str = "spent";

/// When refunds and disputes were last looked for at a payment provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// By the business's clock.
    pub now: DateTime<Utc>,
    /// By the machine's own clock, which agrees with the provider's.
    pub wall: DateTime<Utc>,
}

impl Ledger {
    /// Counts `price` toward what an account spends on a day; or, when it does not fit, how much was spent. A
    /// price is counted before its purchase is begun. If the process crashes in between, or the answer is lost,
    /// the day has less room than it should, never more.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn count_spending(
        &self,
        account: AccountId,
        day: NaiveDate,
        (price, limit): (Money, SpendingLimit),
    ) -> Result<Result<(), u64>, Fault> {
        let Some(room) = limit.room_for(price) else {
            return Ok(Err(self.spent(account, day).await?));
        };
        let number = |number: u64| AttributeValue::N(number.to_string());
        let end =
            day.checked_add_days(Days::new(DAYS_KEPT)).unwrap_or(day).and_time(NaiveTime::MIN).and_utc();
        let update = self.once.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::Spending(account, day).attributes()));
        let update = update
            .update_expression("SET #ttl = :end ADD #spent :price")
            .condition_expression("attribute_not_exists(#spent) OR #spent <= :room")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_names("#spent", SPENT)
            .expression_attribute_values(":end", AttributeValue::N(end.timestamp().to_string()))
            .expression_attribute_values(":price", number(price.amount()))
            .expression_attribute_values(":room", number(room));
        match update.send().await {
            Ok(_) => Ok(Ok(())),
            Err(error) if is_refused(&error) => Ok(Err(self.spent(account, day).await?)),
            Err(error) => Err(Fault::unavailable("count what is spent")(error.into())),
        }
    }

    /// Takes a price that was counted off again, because nothing was charged.
    ///
    /// # Errors
    /// When the table does not serve; the day then has less room than it should.
    pub async fn uncount_spending(
        &self,
        account: AccountId,
        day: NaiveDate,
        price: Money,
    ) -> Result<(), Fault> {
        let update = self.once.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::Spending(account, day).attributes()));
        let update = update
            .update_expression("SET #spent = #spent - :price")
            .condition_expression("#spent >= :price")
            .expression_attribute_names("#spent", SPENT)
            .expression_attribute_values(":price", AttributeValue::N(price.amount().to_string()));
        match update.send().await {
            Ok(_) => Ok(()),
            // The day is over and forgotten.
            Err(error) if is_refused(&error) => Ok(()),
            Err(error) => Err(Fault::unavailable("count what is spent")(error.into())),
        }
    }

    /// What an account has spent on a day, in minor units.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn spent(&self, account: AccountId, day: NaiveDate) -> Result<u64, Fault> {
        let item = self.get(&Key::Spending(account, day), true, "read what was spent").await?;
        Ok(item.and_then(|item| number(&item, SPENT)).and_then(|spent| spent.try_into().ok()).unwrap_or(0))
    }

    /// When refunds and disputes of that mode were last looked for; none when they never were.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn looked(&self, mode: Mode) -> Result<Option<Looked>, Fault> {
        let item = self.get(&Key::Looked(mode), false, "read when payments were looked at").await?;
        let at = |item: &Item, name| DateTime::from_timestamp_millis(number(item, name)?);
        Ok(item.and_then(|item| Some(Looked { now: at(&item, "now")?, wall: at(&item, "wall")? })))
    }

    /// Notes that refunds and disputes of that mode were looked for.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn note_look(&self, mode: Mode, looked: Looked) -> Result<(), Fault> {
        let at = |at: DateTime<Utc>| AttributeValue::N(at.timestamp_millis().to_string());
        let mut item = Key::Looked(mode).attributes();
        item.insert("now".to_owned(), at(looked.now));
        item.insert("wall".to_owned(), at(looked.wall));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await;
        put.map(|_| ()).map_err(|error| Fault::unavailable("note that payments were looked at")(error.into()))
    }
}

fn is_refused<R>(error: &SdkError<UpdateItemError, R>) -> bool {
    error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception)
}

fn number(item: &Item, name: &str) -> Option<i64> {
    match item.get(name) {
        Some(AttributeValue::N(number)) => number.parse().ok(),
        Some(_) | None => None,
    }
}
