//! The records of an account's lots, in the activity table: one item for each lot that it has had.

use std::collections::BTreeMap;

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
use domain::{
    AccountId, Arrival, Cost, Credits, Currency, EntryId, LotChange, LotChangeKind, LotId, LotRecord, Source,
    Terms,
};

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
    fn read(item: StoredItem) -> Result<Self, Fault> {
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

    fn item(&self, key: &Key<'_>) -> Result<StoredItem, Fault> {
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

    /// Adds changes that it does not count yet, by rising numbers.
    pub fn add(&mut self, changes: &[&LotChange], from: Option<&LotRecord>) {
        let known = self.through;
        for change in changes.iter().filter(|change| known < change.sequence) {
            self.record.add(change, from);
            self.through = change.sequence;
        }
    }
}

impl Activity {
    /// Counts changes of lots, by rising numbers. Each change is counted once, however often this is called: every record
    /// stores the number through which it counts.
    ///
    /// # Errors
    /// When the table does not answer; then all of them have to be counted again.
    pub async fn count_lots(&self, account: AccountId, changes: &[LotChange]) -> Result<(), Fault> {
        let mut by_lot: BTreeMap<LotId, Vec<&LotChange>> = BTreeMap::new();
        for change in changes {
            by_lot.entry(change.lot).or_default().push(change);
        }
        // A lot from which credits moved comes after the lots that they moved to, which ask it for their cost.
        let (sources, others): (Vec<_>, Vec<_>) = by_lot
            .into_iter()
            .partition(|(_, changes)| changes.iter().any(|change| change.kind == LotChangeKind::Moved));
        for (lot, changes) in others.into_iter().chain(sources) {
            self.count_lot(account, lot, &changes).await?;
        }
        Ok(())
    }

    async fn count_lot(&self, account: AccountId, lot: LotId, changes: &[&LotChange]) -> Result<(), Fault> {
        let Some(first) = changes.first() else { return Ok(()) };
        let from = match changes.iter().find_map(|change| origin(change)) {
            Some(from) => self.lot(account, from).await?,
            None => None,
        };
        let key = Key::Lot(account, lot);
        let mut known = self.table.read(&key, false, "read a lot's record").await?;
        for _ in 0..ATTEMPTS_MAX {
            let stored = known.map(CountedLot::read).transpose()?;
            let seen = stored.as_ref().map(|stored| stored.through);
            let mut counted = stored.unwrap_or_else(|| CountedLot::begin(first));
            counted.add(changes, from.as_ref().map(|from| &from.record));
            if seen == Some(counted.through) {
                return Ok(());
            }
            let condition = Condition::at(THROUGH, seen);
            known = match self
                .table
                .put_or_existing(counted.item(&key)?, condition, "write a lot's record")
                .await?
            {
                ConditionalPut::Written => return Ok(()),
                ConditionalPut::Existing(known) => known,
            };
        }
        Err(Fault::Busy)
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

/// The lot that the credits of a change came from.
fn origin(change: &LotChange) -> Option<LotId> {
    match change.kind {
        LotChangeKind::Arrived(Arrival::FromLot(lot)) => Some(lot),
        LotChangeKind::Arrived(Arrival::Granted | Arrival::Bought { .. })
        | LotChangeKind::Returned
        | LotChangeKind::Expired
        | LotChangeKind::Withdrawn
        | LotChangeKind::Moved => None,
    }
}
