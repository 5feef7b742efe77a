//! The roll-forward of a month over all accounts: one item for each shard of the directory, which adds up its accounts.
//!
//! An item says through which account of its shard it counts, and is replaced only at the revision that was read. So each
//! account is added once, by whichever process and however often it is tried. A read of all items is one query.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::table::attribute::{number, sort_key, text};
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem, roll_forward_partition};
use crate::table::ledger::Ledger;
use crate::table::query::ItemQuery;
use domain::{AccountId, MonthValue, Period, ValueFlows};
use ports::random;

/// The attribute of the part's text: JSON.
const TEXT: &str = "text";

/// How many accounts of a shard may wait. Past it the shard goes no further until some of them are counted.
pub const WAITING_MAX: usize = 50;

/// One shard's part of a month's roll-forward.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollForwardPart {
    /// The last account of the shard that was examined; `None` at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AccountId>,
    /// Whether all accounts were examined.
    pub listed: bool,
    /// Whether no task continues it: the accounts that wait could not be counted.
    #[serde(default)]
    pub stalled: bool,
    /// The accounts that could not be counted, and why; at most [`WAITING_MAX`].
    pub waiting: BTreeMap<AccountId, AccountWaits>,
    /// The number of accounts that are counted.
    pub accounts: u64,
    /// The sums of their values.
    pub flows: ValueFlows,
    /// The sum of their credits without a known price.
    pub unpriced: i64,
    /// SHA-256 of the records that are counted, in the order in which they were added.
    pub digest: String,
    /// When it was last changed.
    pub stepped_at: DateTime<Utc>,
    /// How often it was changed. Of two processes that change it at the same time, one succeeds.
    #[serde(skip)]
    pub revision: u64,
    /// A random text that identifies the process that made the step.
    by: String,
}

/// Why the value of an account's month is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccountWaits {
    /// The month is not closed: the renewal was not posted, or its transactions are not all counted.
    NotClosed,
    /// Its account or a record of it cannot be read, or its month does not add up.
    Unreadable,
    /// It has years of months that were not valued yet.
    Valuing,
}

impl RollForwardPart {
    /// Whether all accounts are counted.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.listed && self.waiting.is_empty()
    }

    /// Adds the value of an account's month.
    pub fn add(&mut self, account: AccountId, value: &MonthValue) {
        self.waiting.remove(&account);
        self.accounts = self.accounts.saturating_add(1);
        self.flows.add(&value.flows);
        self.unpriced = self.unpriced.saturating_add(value.unpriced);
        let digest = Sha256::digest(format!("{}\n{account}\n{}\n", self.digest, value.hash));
        self.digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    }

    fn read(item: &StoredItem) -> Result<Self, Fault> {
        let corrupt = |problem: &str| Fault::corrupt("a part of a roll-forward", problem);
        let Some(AttributeValue::S(text)) = item.get(TEXT) else { return Err(corrupt("its text")) };
        let part: Self = serde_json::from_str(text).map_err(|error| corrupt(&error.to_string()))?;
        let Some(AttributeValue::N(revision)) = item.get("revision") else {
            return Err(corrupt("its revision"));
        };
        let revision = revision.parse().map_err(|_| corrupt("its revision"))?;
        Ok(Self { revision, ..part })
    }
}

impl Ledger {
    /// The parts of a month's roll-forward, by shard: those that exist. Costs a read unit for each 8 KB, eventually
    /// consistent; a part takes less than 1 KB in one currency, and about 0.4 KB for each other one.
    ///
    /// # Errors
    /// When the table does not answer; when a part is unreadable.
    pub async fn roll_forward(&self, month: Period) -> Result<BTreeMap<String, RollForwardPart>, Fault> {
        let query = ItemQuery::all(roll_forward_partition(month)).consistent(false);
        let items = self.table.query_all(query, "read a roll-forward").await?;
        let parts = items.iter().map(|item| {
            let shard = sort_key(item).unwrap_or_default().to_owned();
            Ok((shard, RollForwardPart::read(item)?))
        });
        parts.collect()
    }

    /// One part of a month's roll-forward, strongly consistent; an empty one where there is none.
    ///
    /// # Errors
    /// As [`Ledger::roll_forward`].
    pub async fn roll_forward_part(&self, month: Period, shard: u8) -> Result<RollForwardPart, Fault> {
        let item = self.table.get(&Key::RollForward(month, shard), "read a roll-forward").await?;
        Ok(item.as_ref().map(RollForwardPart::read).transpose()?.unwrap_or_default())
    }

    /// Saves a part with its revision incremented; `false` when another process has changed it since it was read.
    ///
    /// # Errors
    /// As [`Ledger::roll_forward`].
    pub async fn save_roll_forward_part(
        &self,
        month: Period,
        shard: u8,
        part: RollForwardPart,
    ) -> Result<bool, Fault> {
        let seen = Some(part.revision).filter(|revision| *revision > 0);
        let by = format!("{:032x}", random());
        let revision = part.revision.saturating_add(1);
        let part = RollForwardPart { by: by.clone(), ..part };
        let written = serde_json::to_string(&part)
            .map_err(|error| Fault::corrupt("a part of a roll-forward", error))?;
        let mut item = Key::RollForward(month, shard).attributes();
        item.insert(TEXT.to_owned(), text(&written));
        item.insert("revision".to_owned(), number(revision));
        let saved = self.table.replace(item, seen, "save a part of a roll-forward").await?;
        // The SDK may have sent it twice: then the first call has saved this step.
        Ok(saved || self.roll_forward_part(month, shard).await?.by == by)
    }
}
