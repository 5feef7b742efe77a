use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::item::{decode, with_key};
use super::key::{Key, pot_partition};
use super::{Fault, Ledger};
use crate::domain::{AccountId, EntryId, Period, Pot, Receipt};

/// How many holds that have ended one look finds at most.
pub(super) const ENDED_AT_ONCE: i32 = 25;

/// How many looks one request takes at most. What is beyond them is found by the next.
pub(super) const LOOKS_MAX: u32 = 8;

/// A hold that is not closed, by its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenHold {
    pub(super) id: EntryId,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub(super) ends: DateTime<Utc>,
}

impl OpenHold {
    fn key(&self, account: AccountId) -> Key<'static> {
        // Milliseconds since 1970 sort as they count up to the year 9999.
        Key::Open(account, format!("{:015}#{}", self.ends.timestamp_millis(), self.id.bare()))
    }
}

impl Ledger {
    /// The pot of a transaction as it stands; `None` while nothing was drawn from it.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn pot(&self, account: AccountId, of: EntryId) -> Result<Option<Pot>, Fault> {
        let item = self.get(&Key::Pot(account, of), true, "read a pot").await?;
        item.map(|item| decode("a pot", item)).transpose()
    }

    /// The pots of some transactions, by id: one read for each month that they are of.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn pots(&self, account: AccountId, of: &[EntryId]) -> Result<BTreeMap<EntryId, Pot>, Fault> {
        let mut months: BTreeMap<Period, (EntryId, EntryId)> = BTreeMap::new();
        for id in of {
            let (first, last) = months.entry(Period::of(id.time())).or_insert((*id, *id));
            (*first, *last) = ((*first).min(*id), (*last).max(*id));
        }
        let mut pots = BTreeMap::new();
        for (month, (first, last)) in months {
            let query = self.client.query().table_name(&self.table).consistent_read(true);
            let mut items = query
                .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
                .expression_attribute_values(":pk", AttributeValue::S(pot_partition(account, month)))
                .expression_attribute_values(":first", AttributeValue::S(first.bare()))
                .expression_attribute_values(":last", AttributeValue::S(last.bare()))
                .into_paginator()
                .items()
                .send();
            while let Some(item) = items.next().await {
                let item = item.map_err(|error| Fault::unavailable("read pots")(error.into()))?;
                let pot: Pot = decode("a pot", item)?;
                pots.insert(pot.of, pot);
            }
        }
        Ok(pots)
    }

    /// Keeps a pot in place of the one that was seen, whose revision it has; `None` when that was not the
    /// last. What is drawn from one transaction is decided here and by nothing else.
    pub(super) async fn save_pot(&self, account: AccountId, pot: Pot) -> Result<Option<Pot>, Fault> {
        let (seen, revision) = (pot.revision, pot.revision.saturating_add(1));
        let pot = Pot { revision, ..pot };
        let item = with_key(&Key::Pot(account, pot.of), &pot)?;
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = if seen == 0 {
            put.condition_expression("attribute_not_exists(pk)")
        } else {
            put.condition_expression("revision = :seen")
                .expression_attribute_values(":seen", AttributeValue::N(seen.to_string()))
        };
        match put.send().await {
            Ok(_) => Ok(Some(pot)),
            Err(error) => match error.as_service_error() {
                // The SDK may have sent it twice, and the first sending kept it: then it is found as it is.
                Some(PutItemError::ConditionalCheckFailedException(_)) => {
                    Ok(self.pot(account, pot.of).await?.filter(|kept| *kept == pot))
                }
                Some(_) | None => Err(Fault::unavailable("keep a pot")(error.into())),
            },
        }
    }

    /// Remembers that a hold is open, so that whoever looks at the account after its end finds it. It is
    /// written before the entry's row: whoever finds the row finds it remembered.
    pub(super) async fn remember_hold(&self, account: AccountId, receipt: &Receipt) -> Result<(), Fault> {
        let Some(ends) = receipt.details.expires_at.filter(|_| receipt.is_hold()) else { return Ok(()) };
        let open = OpenHold { id: receipt.entry.id, ends };
        // A hold that is closed by now is not opened again: its end is looked at once, and found closed.
        let item = with_key(&open.key(account), &open)?;
        self.put_new(item, "remember a hold").await.map(|_| ())
    }

    /// Forgets a hold that is closed.
    pub(super) async fn forget_hold(&self, account: AccountId, open: OpenHold) -> Result<(), Fault> {
        let delete = self.client.delete_item().table_name(&self.table);
        let deleted = delete.set_key(Some(open.key(account).attributes())).send().await;
        deleted.map(|_| ()).map_err(|error| Fault::unavailable("forget a hold")(error.into()))
    }

    /// Holds of an account that have ended by `now` and may not be closed, the earliest first.
    pub(super) async fn ended_holds(
        &self,
        account: AccountId,
        now: DateTime<Utc>,
        most: i32,
    ) -> Result<Vec<OpenHold>, Fault> {
        let end = now.checked_add_signed(TimeDelta::milliseconds(1)).unwrap_or(now);
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let answer = query
            .key_condition_expression("pk = :pk AND sk < :end")
            .expression_attribute_values(":pk", AttributeValue::S(format!("HOLDS#{account}")))
            .expression_attribute_values(":end", AttributeValue::S(format!("{:015}", end.timestamp_millis())))
            .limit(most)
            .send()
            .await
            .map_err(|error| Fault::unavailable("look for holds that have ended")(error.into()))?;
        answer.items.unwrap_or_default().into_iter().map(|item| decode("an open hold", item)).collect()
    }

    /// Whether holds of an account have ended by `now` that may not be closed.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn has_ended_holds(&self, account: AccountId, now: DateTime<Utc>) -> Result<bool, Fault> {
        Ok(!self.ended_holds(account, now, 1).await?.is_empty())
    }
}
