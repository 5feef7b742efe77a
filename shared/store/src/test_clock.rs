use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use super::key::{Item, Key};
use super::{Fault, Ledger, Moment};
use domain::{AccountId, Mode};

/// The attribute of the clock's item: milliseconds since 1970.
const STANDS_AT: &str = "now";

/// The attribute that says that the account's errands go by its clock.
const MOVED: &str = "agenda";

impl Ledger {
    /// Where the clock of a test ledger stands, if it was ever set. Live ledgers have no clock of their
    /// own, and nothing is read for them.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn test_clock(&self, account: AccountId) -> Result<Option<DateTime<Utc>>, Fault> {
        if account.mode == Mode::Live {
            return Ok(None);
        }
        let item = self.get(&Key::Clock(account), true, "read a test clock").await?;
        Ok(item.as_ref().and_then(stands_at))
    }

    /// The time as it is for an account: `moment`, unless the account has a clock of its own.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn moment_of(&self, account: AccountId, moment: Moment) -> Result<Moment, Fault> {
        let own = self.test_clock(account).await?;
        Ok(Moment { now: own.unwrap_or(moment.now), ..moment })
    }

    /// Sets the clock of a test ledger; where it stands then, which is later when it stood later before.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn set_test_clock(
        &self,
        account: AccountId,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, Fault> {
        let update = self.client.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::Clock(account).attributes()));
        let update =
            update.update_expression("SET #now = :now").expression_attribute_names("#now", STANDS_AT);
        let update = update
            .expression_attribute_values(":now", AttributeValue::N(now.timestamp_millis().to_string()))
            .condition_expression("attribute_not_exists(#now) OR #now <= :now");
        match update.send().await {
            Ok(_) => Ok(now),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => {
                    Ok(self.test_clock(account).await?.unwrap_or(now))
                }
                Some(_) | None => Err(Fault::unavailable("set a test clock")(error.into())),
            },
        }
    }

    /// Whether all errands of a test ledger are in an agenda of its own.
    pub(super) async fn has_own_agenda(&self, account: AccountId) -> Result<bool, Fault> {
        let item = self.get(&Key::Clock(account), true, "read a test clock").await?;
        Ok(item.is_some_and(|item| item.contains_key(MOVED)))
    }

    pub(super) async fn note_own_agenda(&self, account: AccountId) -> Result<(), Fault> {
        let update = self.client.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::Clock(account).attributes()));
        let update =
            update.update_expression("SET #moved = :yes").expression_attribute_names("#moved", MOVED);
        let noted = update.expression_attribute_values(":yes", AttributeValue::Bool(true)).send().await;
        noted.map(|_| ()).map_err(|error| Fault::unavailable("note an agenda")(error.into()))
    }
}

fn stands_at(item: &Item) -> Option<DateTime<Utc>> {
    match item.get(STANDS_AT) {
        Some(AttributeValue::N(millis)) => DateTime::from_timestamp_millis(millis.parse().ok()?),
        Some(_) | None => None,
    }
}
