//! Queries of one partition.

use crate::table::condition::Condition;
use crate::table::key::StoredItem;

/// Which items of a partition a query reads, by their sort keys.
#[derive(Clone, Debug)]
pub(crate) enum SortKeys {
    /// All of them.
    All,
    /// Those from this one on.
    From(String),
    /// Those after this one.
    After(String),
    /// Those below this one.
    Below(String),
    /// Those from the first to the last, both included.
    Between(String, String),
}

/// A query of one partition. Strongly consistent and by rising sort keys, unless it says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct ItemQuery {
    pub(crate) partition: String,
    pub(crate) keys: SortKeys,
    pub(crate) falling: bool,
    pub(crate) consistent: bool,
    pub(crate) limit: Option<i32>,
    pub(crate) start: Option<StoredItem>,
    pub(crate) filter: Option<Condition>,
}

/// What one query has read.
#[derive(Debug)]
pub(crate) struct ItemPage {
    /// The items.
    pub(crate) items: Vec<StoredItem>,
    /// The key of the last item that was read; `None` when the query reached the end of its range.
    pub(crate) last: Option<StoredItem>,
    /// How many items were read, before the filter.
    pub(crate) scanned: i32,
}

impl ItemQuery {
    /// A query of some items of a partition.
    pub(crate) fn new(partition: String, keys: SortKeys) -> Self {
        Self { partition, keys, falling: false, consistent: true, limit: None, start: None, filter: None }
    }

    /// A query of all items of a partition.
    pub(crate) fn all(partition: String) -> Self {
        Self::new(partition, SortKeys::All)
    }

    /// Reads the highest sort keys first.
    pub(crate) fn falling(mut self) -> Self {
        self.falling = true;
        self
    }

    /// Reads with eventual consistency unless `consistent`.
    pub(crate) fn consistent(mut self, consistent: bool) -> Self {
        self.consistent = consistent;
        self
    }

    /// Reads at most `limit` items.
    pub(crate) fn limit(mut self, limit: i32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Continues after the key `start`, if there is one.
    pub(crate) fn continued(mut self, start: Option<StoredItem>) -> Self {
        self.start = start;
        self
    }
}
