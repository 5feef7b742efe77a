//! Rollups in the activity table: one for each day of an account, and one for each month of a customer or a member.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use futures_util::future::FutureExt;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::activity::activity_table::Activity;
use crate::table::attribute::{number, number_of};
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem};
use crate::table::packed_rollup::{pack, unpack};
use crate::table::requests::ConditionalPut;
use domain::{AccountId, DatedRecord, DayTotal, Period, Rollup, RowShard};

/// How often another process may save a rollup first.
const ATTEMPTS_MAX: u32 = 16;

/// How many rollups are written at the same time. Each is an item of its own.
const ROLLUPS_AT_ONCE: usize = 32;

/// The attribute of a rollup's sums.
const SUMS: &str = "sums";

/// The attribute of the number of the last transaction that is counted, so that none is counted twice.
const THROUGH: &str = "through";

/// Whose transactions a month's rollup counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RollupKind {
    /// Those on behalf of a customer.
    Customer,
    /// Those by a member of staff.
    Member,
}

impl RollupKind {
    /// Its letter in keys.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Customer => 'c',
            Self::Member => 'm',
        }
    }
}

/// A rollup as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The number of the last transaction that is counted; `None` where nothing is stored.
    pub(crate) through: Option<u64>,
    pub(crate) rollup: Rollup,
}

impl Counted {
    /// The rollup with transactions of one customer or member, in the order of their numbers; `None` if it has them all.
    pub(crate) fn with_records(&self, records: &[&DatedRecord]) -> Option<Self> {
        let mut next = self.clone();
        records.iter().for_each(|dated| next.count_record(dated));
        (self.through < next.through).then_some(next)
    }

    /// Adds a transaction of its customer or member, unless it has it.
    pub(crate) fn count_record(&mut self, DatedRecord { day, record }: &DatedRecord) {
        if self.through.unwrap_or(0) < record.sequence {
            self.rollup.add(u8::try_from(day.day()).unwrap_or_default(), record);
            self.through = Some(record.sequence);
        }
    }

    /// The rollup with totals of its day; `None` if it has them all.
    pub(crate) fn with_totals(&self, totals: &[DayTotal]) -> Option<Self> {
        let counted = self.through.unwrap_or(0);
        let (mut through, mut rollup) = (counted, self.rollup.clone());
        for total in totals {
            if let Some(more) = total.added_to(&rollup, through) {
                (through, rollup) = (total.last(), more);
            }
        }
        (counted < through).then_some(Self { through: Some(through), rollup })
    }

    /// The condition that `item` is still stored, by its number; without an item, that none is.
    pub(crate) fn unchanged(item: Option<&StoredItem>) -> Condition {
        match item.map(|item| item.get(THROUGH)) {
            None => Condition::absent(),
            Some(None) => Condition::new("attribute_not_exists(#through)").name("#through", THROUGH),
            Some(Some(number)) => Condition::equal(THROUGH, number.clone()),
        }
    }

    /// Its item.
    pub(crate) fn item(&self, key: &Key<'_>) -> Result<StoredItem, Fault> {
        let mut item = key.attributes();
        item.extend(self.through.map(|through| (THROUGH.to_owned(), number(through))));
        item.insert(SUMS.to_owned(), pack(&self.rollup)?);
        Ok(item)
    }

    pub(crate) fn read(item: &StoredItem) -> Result<Self, Fault> {
        let through = number_of(item, THROUGH).ok_or_else(|| Fault::corrupt("a rollup", "its number"))?;
        Ok(Self { through: Some(through), rollup: unpack(item, SUMS)? })
    }
}

/// A month's rollup of one customer or member. Transactions of different shards are counted in different items, so that a
/// busy account's writes are spread as its rows are. A transaction's shard never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MonthOf {
    pub(crate) month: Period,
    pub(crate) kind: RollupKind,
    pub(crate) shard: RowShard,
    pub(crate) name: String,
}

impl MonthOf {
    /// The rollups that count a transaction: its customer's and its member's.
    pub(crate) fn of(DatedRecord { day, record }: &DatedRecord) -> impl Iterator<Item = Self> {
        let (month, shard) = (month_of(*day), record.id.row_shard());
        let names = [(RollupKind::Customer, &record.customer), (RollupKind::Member, &record.member)];
        names.into_iter().filter_map(move |(kind, name)| {
            Some(Self { month, kind, shard, name: name.as_ref()?.as_str().to_owned() })
        })
    }

    pub(crate) fn key(&self, account: AccountId) -> Key<'static> {
        Key::MonthRollup(account, self.month, self.kind.letter(), self.shard, self.name.clone())
    }
}

impl Activity {
    /// Counts transactions of customers and members, in the order of their numbers. Each transaction is counted once,
    /// however often this is called: every rollup stores the number through which it counts.
    ///
    /// # Errors
    /// When the table does not answer; then all of them have to be counted again.
    pub async fn count(&self, account: AccountId, records: &[DatedRecord]) -> Result<(), Fault> {
        let mut rollups: BTreeMap<MonthOf, Vec<&DatedRecord>> = BTreeMap::new();
        for dated in records {
            MonthOf::of(dated).for_each(|of| rollups.entry(of).or_default().push(dated));
        }
        let keys: Vec<_> = rollups.into_iter().map(|(of, records)| (of.key(account), records)).collect();
        let counted = keys
            .iter()
            .map(|(key, records)| self.count_in(key, |known: &Counted| known.with_records(records)).boxed());
        stream::iter(counted.collect::<Vec<_>>()).buffer_unordered(ROLLUPS_AT_ONCE).try_collect().await
    }

    /// Counts totals in the rollups of their days, those of one day by one write. What is counted already changes nothing.
    ///
    /// # Errors
    /// When the table does not answer; then all of them have to be counted again.
    pub async fn count_totals(&self, account: AccountId, totals: &[DayTotal]) -> Result<(), Fault> {
        for totals in totals.chunk_by(|one, next| one.pending.day == next.pending.day) {
            let Some(day) = totals.first().map(|total| total.pending.day) else { continue };
            let add = |known: &Counted| known.with_totals(totals);
            self.count_in(&Key::DayRollup(account, day), add).await?;
        }
        Ok(())
    }

    /// Replaces a rollup by what `add` makes of it, unless that is `None`.
    async fn count_in(
        &self,
        key: &Key<'_>,
        add: impl Fn(&Counted) -> Option<Counted> + Send + Sync,
    ) -> Result<(), Fault> {
        let mut known = self.table.read(key, false, "read a rollup").await?;
        for _ in 0..ATTEMPTS_MAX {
            let counted = known.as_ref().map(Counted::read).transpose()?.unwrap_or_default();
            let Some(next) = add(&counted) else { return Ok(()) };
            let item = next.item(key)?;
            let condition = Condition::at(THROUGH, counted.through);
            known = match self.table.put_or_existing(item, condition, "write a rollup").await? {
                ConditionalPut::Written => return Ok(()),
                ConditionalPut::Existing(known) => known,
            };
        }
        Err(Fault::Busy)
    }
}

/// How many bytes the sums of a rollup's item have.
pub(super) fn bytes_of(item: &StoredItem) -> usize {
    item.get(SUMS).and_then(|sums| sums.as_b().ok()).map_or(0, |sums| sums.as_ref().len())
}

/// The month of a day.
pub(crate) fn month_of(day: NaiveDate) -> Period {
    Period::of(day.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc())
}
