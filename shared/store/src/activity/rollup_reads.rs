//! Reads of rollups: the days of an account, and the months of its customers and members.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use chrono::NaiveDate;
use futures_util::future::try_join_all;

use crate::activity::activity_table::Activity;
use crate::activity::rollups::{Counted, RollupKind, bytes_of};
use crate::table::attribute::sort_key;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem, day_rollup_partition, month_rollup_partition};
use crate::table::query::{ItemPage, ItemQuery, SortKeys};
use domain::{AccountId, PendingRollup, Period, Rollup, RowShard, RowShards};

/// After how many bytes of rollups of customers or members one answer reads no more.
const BYTES_MAX: usize = 32 << 20;

/// Which rollups of customers or members are read.
#[derive(Clone, Debug)]
pub struct RollupsOf {
    /// The account.
    pub account: AccountId,
    /// How many shards its rows are spread over.
    pub shards: RowShards,
    /// Customers or members.
    pub kind: RollupKind,
    /// The months.
    pub months: Vec<Period>,
}

/// The rollup of a customer or member in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRollup {
    /// The customer's or member's id, as the caller has sent it.
    pub name: String,
    /// The month.
    pub month: Period,
    /// The sums, by day of the month.
    pub rollup: Rollup,
}

/// Rollups of customers or members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonthRollups {
    /// The rollups. A customer or member may have several of one month: one for each row shard.
    pub rollups: Vec<NamedRollup>,
    /// Whether these are all; there may be more than one answer reads.
    pub is_complete: bool,
}

impl Activity {
    /// The rollups of an account's days, and what is pending. Read the watermark that has `pending` first: the rollup of
    /// its day may have it by now. Costs about one read unit for each 4 KB of rollups, strongly consistent.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn day_rollups(
        &self,
        account: AccountId,
        days: RangeInclusive<NaiveDate>,
        pending: Option<&PendingRollup>,
    ) -> Result<BTreeMap<NaiveDate, Rollup>, Fault> {
        if days.is_empty() {
            return Ok(BTreeMap::new());
        }
        let keys = SortKeys::Between(days.start().to_string(), days.end().to_string());
        let query = ItemQuery::new(day_rollup_partition(account), keys);
        let mut counted = BTreeMap::new();
        for item in self.table.query_all(query, "read rollups").await? {
            let day = sort_key(&item).and_then(|day| day.parse::<NaiveDate>().ok());
            let day = day.ok_or_else(|| Fault::corrupt("a rollup", "its day"))?;
            counted.insert(day, Counted::read(&item)?);
        }
        if let Some(pending) = pending.filter(|pending| days.contains(&pending.day)) {
            let day = counted.entry(pending.day).or_default();
            if day.through.unwrap_or(0) <= pending.after {
                day.rollup.join(&pending.rollup);
            }
        }
        Ok(counted.into_iter().map(|(day, Counted { rollup, .. })| (day, rollup)).collect())
    }

    /// The rollups of all customers or members in some months, by reads of at most 1 MB: one for each month and shard, and at
    /// most 32 more.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn month_rollups(&self, of: &RollupsOf) -> Result<MonthRollups, Fault> {
        let mut rollups = Vec::new();
        let mut bytes = 0;
        for month in &of.months {
            let first = of.shards.all().map(|shard| self.page_of(of, *month, shard, None));
            let mut unfinished = Vec::new();
            for (shard, page) in of.shards.all().zip(try_join_all(first).await?) {
                bytes = add(&mut rollups, *month, &page.items)?.saturating_add(bytes);
                unfinished.extend(page.last.map(|last| (shard, last)));
            }
            while let Some((shard, start)) = unfinished.pop() {
                if BYTES_MAX < bytes {
                    return Ok(MonthRollups { rollups, is_complete: false });
                }
                let page = self.page_of(of, *month, shard, Some(start)).await?;
                bytes = add(&mut rollups, *month, &page.items)?.saturating_add(bytes);
                unfinished.extend(page.last.map(|last| (shard, last)));
            }
            if BYTES_MAX < bytes && Some(month) != of.months.last() {
                return Ok(MonthRollups { rollups, is_complete: false });
            }
        }
        Ok(MonthRollups { rollups, is_complete: true })
    }

    async fn page_of(
        &self,
        RollupsOf { account, kind, .. }: &RollupsOf,
        month: Period,
        shard: RowShard,
        start: Option<StoredItem>,
    ) -> Result<ItemPage, Fault> {
        let partition = month_rollup_partition(*account, month, kind.letter(), shard);
        self.table.query(ItemQuery::all(partition).continued(start), "read rollups").await
    }

    /// The rollups of one customer or member.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn rollups_named(&self, of: &RollupsOf, name: &str) -> Result<Vec<NamedRollup>, Fault> {
        let of_month = |month: Period| of.shards.all().map(move |shard| (month, shard));
        let reads = of.months.iter().flat_map(|month| of_month(*month)).map(|(month, shard)| async move {
            let key = Key::MonthRollup(of.account, month, of.kind.letter(), shard, name.to_owned());
            let item = self.table.get(&key, "read a rollup").await?;
            item.map(|item| named(month, &item)).transpose()
        });
        Ok(try_join_all(reads).await?.into_iter().flatten().collect())
    }
}

/// Adds the rollups of a page, and returns how many bytes of sums they have.
fn add(rollups: &mut Vec<NamedRollup>, month: Period, items: &[StoredItem]) -> Result<usize, Fault> {
    let mut bytes = 0_usize;
    for item in items {
        rollups.push(named(month, item)?);
        bytes = bytes.saturating_add(bytes_of(item));
    }
    Ok(bytes)
}

fn named(month: Period, item: &StoredItem) -> Result<NamedRollup, Fault> {
    let name = sort_key(item).ok_or_else(|| Fault::corrupt("a rollup", "its name"))?.to_owned();
    Ok(NamedRollup { name, month, rollup: Counted::read(item)?.rollup })
}
