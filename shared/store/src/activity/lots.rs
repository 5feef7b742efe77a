//! The records of an account's lots, in the activity table: one item for each lot that it has had.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::activity::activity_table::Activity;
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::{Key, StoredItem, lot_partition};
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::requests::ConditionalPut;
use domain::{AccountId, Cost, Credits, Currency, EntryId, LotChange, LotId, LotRecord, Source, Terms};

/// How often another process may save a record first.
const ATTEMPTS_MAX: u32 = 16;

/// The attribute of the number of the last transaction that is counted, so that none is counted twice.
const THROUGH: &str = "through";

/// The item of a lot's record.
#[derive(Clone, Serialize, Deserialize)]
struct LotItem {
    lot: LotId,
    #[serde(rename = "src")]
    source: Source,
    #[serde(flatten)]
    terms: Terms,
    #[serde(rename = "at", with = "chrono::serde::ts_seconds")]
    opened_at: DateTime<Utc>,
    #[serde(rename = "txn")]
    transaction: EntryId,
    #[serde(rename = "n")]
    amount: Credits,
    #[serde(default, skip_serializing_if = "is_none")]
    expired: Credits,
    #[serde(default, skip_serializing_if = "is_none")]
    withdrawn: Credits,
    #[serde(default, skip_serializing_if = "is_none")]
    moved: Credits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<Currency>,
    through: u64,
}

fn is_none(credits: &Credits) -> bool {
    credits.is_zero()
}

/// A lot's record, and the number of the last transaction that it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedLot {
    /// The record.
    pub record: LotRecord,
    /// The last transaction that changed it.
    pub through: u64,
}

impl CountedLot {
    pub(crate) fn read(item: StoredItem) -> Result<Self, Fault> {
        let item: LotItem = decode("a lot's record", item)?;
        let cost = item.cost.zip(item.currency).map(|(minor, currency)| Cost { minor, currency });
        let LotItem {
            lot,
            source,
            terms,
            opened_at,
            transaction,
            amount,
            expired,
            withdrawn,
            moved,
            through,
            ..
        } = item;
        let record =
            LotRecord { lot, source, terms, opened_at, transaction, amount, expired, withdrawn, moved, cost };
        Ok(Self { record, through })
    }

    pub(crate) fn item(&self, key: &Key<'_>) -> Result<StoredItem, Fault> {
        let LotRecord { lot, source, terms, opened_at, transaction, amount, expired, withdrawn, moved, cost } =
            self.record.clone();
        let item = LotItem {
            lot,
            source,
            terms,
            opened_at,
            transaction,
            amount,
            expired,
            withdrawn,
            moved,
            cost: cost.map(|cost| cost.minor),
            currency: cost.map(|cost| cost.currency),
            through: self.through,
        };
        with_key(key, &item)
    }

    /// A record that begins with a change, which it does not count yet.
    #[must_use]
    pub fn begin(change: &LotChange) -> Self {
        Self { record: LotRecord::begin(change), through: 0 }
    }
}

/// The records of some lots, which count changes one after the other.
#[derive(Clone, Debug, Default)]
pub struct CountedLots {
    lots: BTreeMap<LotId, CountedLot>,
    /// Through which number the records counted when they were read.
    read: BTreeMap<LotId, u64>,
}

impl CountedLots {
    /// Records that were read.
    #[must_use]
    pub fn of(lots: Vec<CountedLot>) -> Self {
        let read = lots.iter().map(|lot| (lot.record.lot, lot.through)).collect();
        Self { lots: lots.into_iter().map(|lot| (lot.record.lot, lot)).collect(), read }
    }

    /// Adds changes, by rising numbers, unless their lots count them. Credits that come from another lot bring what they
    /// cost there by the change before.
    pub fn add(&mut self, changes: &[LotChange]) {
        for change in changes {
            if change.sequence <= self.read.get(&change.lot).copied().unwrap_or(0) {
                continue;
            }
            let from = change.origin().and_then(|from| self.lots.get(&from)).map(|from| from.record.clone());
            let lot = self.lots.entry(change.lot).or_insert_with(|| CountedLot::begin(change));
            lot.record.add(change, from.as_ref());
            lot.through = change.sequence;
        }
    }

    /// The records without the numbers through which they count.
    pub fn into_records(self) -> impl Iterator<Item = LotRecord> {
        self.lots.into_values().map(|lot| lot.record)
    }

    /// The records, by lot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &CountedLot> {
        self.lots.values()
    }

    /// Those that count more than when they were read, with the number through which they counted then.
    fn changed(&self) -> impl Iterator<Item = (&CountedLot, Option<u64>)> {
        let read = |lot: &CountedLot| self.read.get(&lot.record.lot).copied();
        self.lots.values().map(move |lot| (lot, read(lot))).filter(|(lot, read)| *read != Some(lot.through))
    }
}

impl Activity {
    /// Counts changes of lots, by rising numbers. Each change is counted once, however often this is called: every record
    /// stores the number through which it counts.
    ///
    /// # Errors
    /// When the table does not answer; then all of them have to be counted again.
    pub async fn count_lots(&self, account: AccountId, changes: &[LotChange]) -> Result<(), Fault> {
        let origins: BTreeSet<_> = changes.iter().filter_map(LotChange::origin).collect();
        let lots: BTreeSet<_> = changes.iter().map(|change| change.lot).chain(origins.clone()).collect();
        let mut are_read_again = false;
        for _ in 0..ATTEMPTS_MAX {
            // A record that is read too early is noticed when it is written; those that are not written are read strongly.
            let reads = lots.iter().map(|lot| async {
                let is_strong = are_read_again || origins.contains(lot);
                let item =
                    self.table.read(&Key::Lot(account, *lot), is_strong, "read a lot's record").await?;
                item.map(CountedLot::read).transpose()
            });
            let mut counted = CountedLots::of(try_join_all(reads).await?.into_iter().flatten().collect());
            counted.add(changes);
            if self.write_lots(account, &counted, &origins).await? {
                return Ok(());
            }
            are_read_again = true;
        }
        Err(Fault::Busy)
    }

    /// Writes the records that have changed; returns whether none was written by another process meanwhile.
    async fn write_lots(
        &self,
        account: AccountId,
        counted: &CountedLots,
        origins: &BTreeSet<LotId>,
    ) -> Result<bool, Fault> {
        // A lot from which credits moved comes after the lots that they moved to, which ask it for their cost.
        let (last, first): (Vec<_>, Vec<_>) =
            counted.changed().partition(|(lot, _)| origins.contains(&lot.record.lot));
        for (lot, read) in first.into_iter().chain(last) {
            let item = lot.item(&Key::Lot(account, lot.record.lot))?;
            let condition = Condition::at(THROUGH, read);
            match self.table.put_or_existing(item, condition, "write a lot's record").await? {
                ConditionalPut::Written => (),
                ConditionalPut::Existing(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The record of a lot; `None` where it has none yet.
    ///
    /// # Errors
    /// When the table does not answer; when the record is unreadable.
    pub async fn lot(&self, account: AccountId, lot: LotId) -> Result<Option<CountedLot>, Fault> {
        let item = self.table.get(&Key::Lot(account, lot), "read a lot's record").await?;
        item.map(CountedLot::read).transpose()
    }

    /// The records of some lots, those that have one.
    ///
    /// # Errors
    /// As [`Activity::lot`].
    pub async fn lots_of(&self, account: AccountId, lots: &[LotId]) -> Result<Vec<CountedLot>, Fault> {
        let reads = lots.iter().map(|lot| self.lot(account, *lot));
        Ok(try_join_all(reads).await?.into_iter().flatten().collect())
    }

    /// The records of an account's lots that are older than `before`, the newest first, at most `limit`; and whether there
    /// are more.
    ///
    /// # Errors
    /// As [`Activity::lot`].
    pub async fn lots(
        &self,
        account: AccountId,
        before: Option<EntryId>,
        limit: u16,
    ) -> Result<(Vec<CountedLot>, bool), Fault> {
        let keys = before.map_or(SortKeys::All, |before| SortKeys::Below(before.bare()));
        let query = ItemQuery::new(lot_partition(account), keys).falling().limit(limit.into());
        let page = self.table.query(query, "read lots").await?;
        let more = page.last.is_some();
        Ok((page.items.into_iter().map(CountedLot::read).collect::<Result<_, _>>()?, more))
    }
}
