//! Queries of an account's rows: the shards of one month, merged.

use futures_util::future::try_join_all;

use crate::table::attribute::sort_key;
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::key::{StoredItem, row_partition};
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::requests::Table;
use domain::{Account, AccountId, EntryId, Period, RowShard, RowShards};

/// How many more rows than its part of the limit one of several shards is asked for, because rows are spread at random.
const SPARE: i32 = 8;

/// The rows of an account, and how many shards they are spread over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccountRows {
    pub(crate) account: AccountId,
    pub(crate) shards: RowShards,
}

impl AccountRows {
    /// The rows of an account as it is now.
    pub(crate) fn of(account: &Account) -> Self {
        Self { account: account.id, shards: account.row_shards }
    }
}

/// One partition of rows: a shard of a month. Rows of consecutive entries lie close together in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowPartition {
    pub(crate) month: Period,
    pub(crate) shard: RowShard,
}

impl RowPartition {
    /// The partition of the row of an id.
    pub(crate) fn of(id: EntryId) -> Self {
        Self { month: Period::of(id.time()), shard: id.row_shard() }
    }
}

/// A query of some rows of one month. Strongly consistent and by rising ids, unless it says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct RowQuery {
    rows: AccountRows,
    month: Period,
    /// The query of one shard, without its partition.
    shard: ItemQuery,
    /// Whether the limit is that of each shard.
    is_of_each: bool,
}

/// What one query has read, in its order.
#[derive(Debug)]
pub(crate) struct RowPage {
    /// The rows.
    pub(crate) items: Vec<StoredItem>,
    /// The sort key up to which all rows were read; `None` when the query reached the end of its range.
    pub(crate) end: Option<String>,
    /// How many rows were read, before the filter.
    pub(crate) scanned: i32,
}

impl RowQuery {
    pub(crate) fn new(rows: AccountRows, month: Period, keys: SortKeys) -> Self {
        Self { rows, month, shard: ItemQuery::new(String::new(), keys), is_of_each: false }
    }

    /// Reads the highest ids first.
    pub(crate) fn falling(mut self) -> Self {
        self.shard.falling = true;
        self
    }

    /// Reads with eventual consistency unless `consistent`.
    pub(crate) fn consistent(mut self, consistent: bool) -> Self {
        self.shard.consistent = consistent;
        self
    }

    /// Reads about `limit` rows: at most as many from one shard, a few more from several.
    pub(crate) fn limit(mut self, limit: Option<i32>) -> Self {
        self.shard.limit = limit;
        self
    }

    /// Reads at most `limit` rows from each shard: the first `limit` rows of the range are then among them, also where they
    /// are all in one shard, as those of a batch are.
    pub(crate) fn limit_each(mut self, limit: i32) -> Self {
        (self.shard.limit, self.is_of_each) = (Some(limit), true);
        self
    }

    /// Returns only rows that meet a condition; the others are still read.
    pub(crate) fn filtered(mut self, filter: Condition) -> Self {
        self.shard.filter = Some(filter);
        self
    }

    /// The query of one shard.
    fn of(&self, shard: RowShard) -> ItemQuery {
        let AccountRows { account, shards } = self.rows;
        let mut query = self.shard.clone();
        query.partition = row_partition(account, self.month, shard);
        if shards != RowShards::ONE && !self.is_of_each {
            let part = |limit: i32| limit.div_euclid(i32::from(shards.count())).saturating_add(SPARE);
            query.limit = query.limit.map(part);
        }
        query
    }
}

impl Table {
    /// Reads all shards of a month at once and merges their rows: one request for each shard.
    pub(crate) async fn query_rows(&self, query: RowQuery, doing: &'static str) -> Result<RowPage, Fault> {
        let pages = query.rows.shards.all().map(|shard| self.query(query.of(shard), doing));
        let pages = try_join_all(pages).await?;
        let ends = pages.iter().filter_map(|page| page.last.as_ref().and_then(sort_key));
        // Behind the nearest end a shard may have rows that were not read.
        let end = if query.shard.falling { ends.max() } else { ends.min() }.map(str::to_owned);
        let scanned = pages.iter().fold(0i32, |sum, page| sum.saturating_add(page.scanned));
        let is_whole = |item: &StoredItem| {
            let (Some(end), Some(key)) = (end.as_deref(), sort_key(item)) else { return true };
            if query.shard.falling { end <= key } else { key <= end }
        };
        let mut items: Vec<_> = pages.into_iter().flat_map(|page| page.items).filter(is_whole).collect();
        items.sort_by(|a, b| {
            if query.shard.falling { sort_key(b).cmp(&sort_key(a)) } else { sort_key(a).cmp(&sort_key(b)) }
        });
        Ok(RowPage { items, end, scanned })
    }
}
