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
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    /// The number of the last transaction that is counted; `None` where nothing is stored.
    pub(super) through: Option<u64>,
    pub(super) rollup: Rollup,
}

impl Counted {
    pub(super) fn read(item: &StoredItem) -> Result<Self, Fault> {
        let through = number_of(item, THROUGH).ok_or_else(|| Fault::corrupt("a rollup", "its number"))?;
        Ok(Self { through: Some(through), rollup: unpack(item, SUMS)? })
    }
}

/// A month's rollup of one customer or member. Transactions of different shards are counted in different items, so that a
/// busy account's writes are spread as its rows are. A transaction's shard never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct MonthOf {
    kind: RollupKind,
    month: Period,
    shard: RowShard,
    name: String,
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
            let DatedRecord { day, record } = dated;
            let names = [(RollupKind::Customer, &record.customer), (RollupKind::Member, &record.member)];
            for (kind, name) in names {
                let Some(name) = name else { continue };
                let (month, shard) = (month_of(*day), record.id.row_shard());
                let of = MonthOf { kind, month, shard, name: name.as_str().to_owned() };
                rollups.entry(of).or_default().push(dated);
            }
        }
        let counted: Vec<_> =
            rollups.iter().map(|(of, records)| self.count_month(account, of, records).boxed()).collect();
        stream::iter(counted).buffer_unordered(ROLLUPS_AT_ONCE).try_collect().await
    }

    async fn count_month(
        &self,
        account: AccountId,
        of: &MonthOf,
        records: &[&DatedRecord],
    ) -> Result<(), Fault> {
        let key = Key::MonthRollup(account, of.month, of.kind.letter(), of.shard, of.name.clone());
        let add = |known: &Counted| {
            let counted = known.through.unwrap_or(0);
            let (mut rollup, mut through) = (known.rollup.clone(), counted);
            for DatedRecord { day, record } in records.iter().filter(|one| counted < one.record.sequence) {
                rollup.add(u8::try_from(day.day()).unwrap_or_default(), record);
                through = through.max(record.sequence);
            }
            (counted < through).then_some((through, rollup))
        };
        self.count_in(&key, add).await
    }

    /// Counts totals in the rollups of their days, those of one day by one write. What is counted already changes nothing.
    ///
    /// # Errors
    /// When the table does not answer; then all of them have to be counted again.
    pub async fn count_totals(&self, account: AccountId, totals: &[DayTotal]) -> Result<(), Fault> {
        for totals in totals.chunk_by(|one, next| one.pending.day == next.pending.day) {
            let Some(day) = totals.first().map(|total| total.pending.day) else { continue };
            let add = |known: &Counted| {
                let counted = known.through.unwrap_or(0);
                let (mut through, mut rollup) = (counted, known.rollup.clone());
                for total in totals {
                    if let Some(more) = total.added_to(&rollup, through) {
                        (through, rollup) = (total.last(), more);
                    }
                }
                (counted < through).then_some((through, rollup))
            };
            self.count_in(&Key::DayRollup(account, day), add).await?;
        }
        Ok(())
    }

    /// Replaces a rollup by what `add` makes of it, unless that is `None`.
    async fn count_in(
        &self,
        key: &Key<'_>,
        add: impl Fn(&Counted) -> Option<(u64, Rollup)> + Send + Sync,
    ) -> Result<(), Fault> {
        let mut known = self.table.read(key, false, "read a rollup").await?;
        for _ in 0..ATTEMPTS_MAX {
            let counted = known.as_ref().map(Counted::read).transpose()?.unwrap_or_default();
            let Some((through, rollup)) = add(&counted) else { return Ok(()) };
            let mut item = key.attributes();
            item.insert(THROUGH.to_owned(), number(through));
            item.insert(SUMS.to_owned(), pack(&rollup)?);
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
fn month_of(day: NaiveDate) -> Period {
    Period::of(day.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc())
}
