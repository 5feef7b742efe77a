//! Closed months: months whose range of the chain has an end, because a later day has a row.

use chrono::NaiveDate;

use crate::chain::items::checkpoint;
use crate::chain::watermark::Watermark;
use crate::table::error::Fault;
use crate::table::key::checkpoint_partition;
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use domain::{AccountId, Balance, Checkpoint, Hash, Period};

/// A closed month of an account's chain: the rows after the checkpoint that ended the months before, through the last
/// checkpoint of the month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedMonth {
    /// The month.
    pub month: Period,
    /// The number of the last row before it; 0 for none.
    pub after: u64,
    /// The chain's hash before its first row.
    pub opening: Hash,
    /// The number of its last row; `after` in a month without rows.
    pub last: u64,
    /// The chain's hash including its last row.
    pub closing: Hash,
}

/// Where a chain was at the end of some day.
#[derive(Clone, Copy)]
struct ChainPoint {
    sequence: u64,
    hash: Hash,
}

impl Watermark {
    /// The month of the latest day of the chain, which is not closed; `None` before the first row.
    #[must_use]
    pub fn open_month(&self) -> Option<Period> {
        let day = self.tip.as_ref()?.day?;
        Some(Period::of(day.and_time(chrono::NaiveTime::MIN).and_utc()))
    }
}

impl Ledger {
    /// A month of the chain; `None` unless it is closed, and events were emitted and usage was counted through its last
    /// row. Costs two queries of one item.
    ///
    /// # Errors
    /// When the table does not answer; when a checkpoint is unreadable.
    pub async fn closed_month(
        &self,
        account: AccountId,
        month: Period,
        watermark: &Watermark,
    ) -> Result<Option<ClosedMonth>, Fault> {
        if watermark.open_month().is_none_or(|open| open <= month) {
            return Ok(None);
        }
        let before = self.chain_before(account, month.start().date_naive()).await?;
        let end = self.chain_before(account, month.next().start().date_naive()).await?;
        let closed = ClosedMonth {
            month,
            after: before.sequence,
            opening: before.hash,
            last: end.sequence,
            closing: end.hash,
        };
        Ok(Some(closed).filter(|closed| closed.last <= watermark.notified_through()))
    }

    /// The balance right after a row of the chain; `None` when the chain or the table does not have it.
    ///
    /// # Errors
    /// When the table does not answer; when the row is unreadable.
    pub async fn balance_after_row(
        &self,
        account: AccountId,
        sequence: u64,
    ) -> Result<Option<Balance>, Fault> {
        let Some((_, link)) = self.link(account, sequence).await? else { return Ok(None) };
        let row = self.transaction(account, link.id).await?;
        Ok(row.filter(|row| row.sequence == sequence).map(|row| row.balance))
    }

    /// The chain at the end of the last day before `day`.
    async fn chain_before(&self, account: AccountId, day: NaiveDate) -> Result<ChainPoint, Fault> {
        let keys = SortKeys::Below(day.to_string());
        let query = ItemQuery::new(checkpoint_partition(account), keys).falling().limit(1);
        let items = self.table.query(query, "read a checkpoint").await?.items;
        let Some(item) = items.first() else {
            return Ok(ChainPoint { sequence: 0, hash: Hash::genesis(account) });
        };
        let known = checkpoint(item).ok_or_else(|| Fault::corrupt("a checkpoint", "it is unreadable"))?;
        let Checkpoint { sequence, hash, .. } = known;
        Ok(ChainPoint { sequence, hash })
    }
}
