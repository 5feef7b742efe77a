use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::item::{decode, with_key};
use super::key::{Item, Key, pot_partition};
use super::{Fault, Ledger, pot_item};
use domain::{AccountId, Credits, EntryId, Period, Pot, Receipt};

/// How many holds that have ended one look finds at most.
const FOUND_AT_ONCE: i32 = 100;

/// A hold that is not closed, by its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenHold {
    pub(super) id: EntryId,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub(super) ends: DateTime<Utc>,
    /// How many credits it has set aside, before any capture.
    #[serde(rename = "n", default)]
    pub(super) amount: Credits,
}

/// What is stored of a remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Save {
    /// A part is taken: finished parts move to pages first.
    Taken,
    /// The account has followed the part, or never will.
    Followed,
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
        Ok(self.pots_between(account, (of, of)).await?.into_iter().next())
    }

    /// The same of a transaction that was read; nothing may have been drawn from it.
    pub(super) async fn pot_of(&self, account: AccountId, from: &Receipt) -> Result<Pot, Fault> {
        Ok(self.pot(account, from.entry.id).await?.unwrap_or_else(|| Pot::of(from)))
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
        for between in months.into_values() {
            let found = self.pots_between(account, between).await?;
            pots.extend(found.into_iter().map(|pot| (pot.of, pot)));
        }
        Ok(pots)
    }

    /// The pots of transactions of one month, from one id to another.
    async fn pots_between(
        &self,
        account: AccountId,
        (first, last): (EntryId, EntryId),
    ) -> Result<Vec<Pot>, Fault> {
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let items = query
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(
                ":pk",
                AttributeValue::S(pot_partition(account, Period::of(first.time()))),
            )
            .expression_attribute_values(":first", AttributeValue::S(first.bare()))
            // Pages follow their pot.
            .expression_attribute_values(":last", AttributeValue::S(format!("{}~", last.bare())))
            .into_paginator()
            .items()
            .send();
        let items = items.collect::<Result<Vec<_>, _>>().await;
        let items = items.map_err(|error| Fault::unavailable("read pots")(error.into()))?;
        grouped(items).into_iter().map(|(item, pages)| pot_item::pot_of(item, pages)).collect()
    }

    /// Keeps a pot in place of the one that was seen, whose revision it has; `None` when that was not the
    /// last. What is drawn from one transaction is decided here and by nothing else.
    pub(super) async fn save_pot(
        &self,
        account: AccountId,
        pot: Pot,
        save: Save,
    ) -> Result<Option<Pot>, Fault> {
        let (seen, revision) = (pot.revision, pot.revision.saturating_add(1));
        let mut pot = Pot { revision, ..pot };
        if save == Save::Taken {
            for page in pot_item::pages_of(account, &mut pot)? {
                self.put_new(page, "keep a page of a pot").await?;
            }
        }
        let item = pot_item::item_of(account, &pot)?;
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
        let open = OpenHold { id: receipt.entry.id, ends, amount: receipt.entry.amount };
        // A hold that is closed by now is not opened again: its end is looked at once, and found closed.
        let item = with_key(&open.key(account), &open)?;
        self.put_new(item, "remember a hold").await.map(|_| ())
    }

    /// Forgets a hold that is closed.
    pub(super) async fn forget_hold(
        &self,
        account: AccountId,
        id: EntryId,
        ends: DateTime<Utc>,
    ) -> Result<(), Fault> {
        let open = OpenHold { id, ends, amount: Credits::ZERO };
        let delete = self.client.delete_item().table_name(&self.table);
        let deleted = delete.set_key(Some(open.key(account).attributes())).send().await;
        deleted.map(|_| ()).map_err(|error| Fault::unavailable("forget a hold")(error.into()))
    }

    /// Holds of an account that have ended by `now` and may not be closed, the earliest first; at most
    /// [`FOUND_AT_ONCE`].
    pub(super) async fn ended_holds(
        &self,
        account: AccountId,
        now: DateTime<Utc>,
    ) -> Result<Vec<OpenHold>, Fault> {
        let end = now.checked_add_signed(TimeDelta::milliseconds(1)).unwrap_or(now);
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let answer = query
            .key_condition_expression("pk = :pk AND sk < :end")
            .expression_attribute_values(":pk", AttributeValue::S(format!("HOLDS#{account}")))
            .expression_attribute_values(":end", AttributeValue::S(format!("{:015}", end.timestamp_millis())))
            .limit(FOUND_AT_ONCE)
            .send()
            .await
            .map_err(|error| Fault::unavailable("look for holds that have ended")(error.into()))?;
        answer.items.unwrap_or_default().into_iter().map(|item| decode("an open hold", item)).collect()
    }
}

/// Items of pots, each with its pages behind it.
pub(super) fn grouped(items: Vec<Item>) -> Vec<(Item, Vec<Item>)> {
    let mut pots: Vec<(Item, Vec<Item>)> = Vec::new();
    for item in items {
        let is_page = matches!(item.get("sk"), Some(AttributeValue::S(text)) if text.contains('#'));
        match pots.last_mut().filter(|_| is_page) {
            Some((_, pages)) => pages.push(item),
            None => pots.push((item, vec![])),
        }
    }
    pots
}
