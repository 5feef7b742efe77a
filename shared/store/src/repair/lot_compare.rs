//! Compares the records of an account's lots with its rows, and writes the right ones.

use std::collections::BTreeMap;

use crate::activity::lots::CountedLot;
use crate::activity::rollups::Counted;
use crate::repair::rollup_report::{RollupName, RollupProblem};
use crate::repair::rollups::RunningRebuild;
use crate::table::attribute::sort_key;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem, lot_partition};
use crate::table::query::ItemQuery;
use domain::{EntryId, LotId};

/// The record of a lot as stored, and as the rows have it.
struct LotPair {
    lot: LotId,
    right: Option<CountedLot>,
    item: Option<StoredItem>,
}

impl RunningRebuild<'_> {
    /// Compares the records of all lots with the rows through the watermark's number.
    pub(super) async fn compare_lots(&mut self) -> Result<(), Fault> {
        if !self.sums.part.is_first() {
            return Ok(());
        }
        let mut right: BTreeMap<_, _> =
            self.lots.iter().map(|lot| (lot.record.lot.age(), lot.clone())).collect();
        let partition = lot_partition(self.of.account);
        let mut query = Some(ItemQuery::all(partition.clone()));
        while let Some(next) = query.take() {
            let page = self.activity.table.query(next, "read lots").await?;
            for item in page.items {
                let age = sort_key(&item).and_then(EntryId::from_bare);
                let age = age.ok_or_else(|| Fault::corrupt("a lot's record", "its sort key"))?;
                let right = right.remove(&age);
                let lot = right.as_ref().map_or(LotId::Granted(age), |right| right.record.lot);
                self.compare_lot(LotPair { lot, right, item: Some(item) }).await?;
            }
            query = page.last.map(|last| ItemQuery::all(partition.clone()).continued(Some(last)));
        }
        for right in right.into_values() {
            // It may have been written since its page was read.
            let lot = right.record.lot;
            let item =
                self.activity.table.get(&Key::Lot(self.of.account, lot), "read a lot's record").await?;
            self.compare_lot(LotPair { lot, right: Some(right), item }).await?;
        }
        Ok(())
    }

    async fn compare_lot(&mut self, LotPair { lot, right, item }: LotPair) -> Result<(), Fault> {
        self.report.compared = self.report.compared.saturating_add(1);
        let unchanged = Counted::unchanged(item.as_ref());
        let stored = item.clone().map(CountedLot::read);
        if let Some(Ok(stored)) = &stored
            && self.sums.through < stored.through
        {
            // The projector counts lots before it moves the watermark.
            self.read_account(stored.through).await?;
            if stored.through <= self.account.sequence {
                self.report.unsettled = self.report.unsettled.saturating_add(1);
                return Ok(());
            }
        }
        let Some(problem) = problem(stored.as_ref().map(Result::as_ref), right.as_ref()) else {
            return Ok(());
        };
        self.differs(RollupName::Lot(lot), problem);
        if !self.of.is_written {
            return Ok(());
        }
        let key = Key::Lot(self.of.account, lot);
        let is_written = match right {
            Some(right) => {
                self.activity.table.put_if(right.item(&key)?, unchanged, "write a lot's record").await?
            }
            None => self.activity.table.delete_if(&key, unchanged, "delete a lot's record").await?,
        };
        if !is_written {
            self.report.unsettled = self.report.unsettled.saturating_add(1);
        }
        Ok(())
    }
}

fn problem(stored: Option<Result<&CountedLot, &Fault>>, right: Option<&CountedLot>) -> Option<RollupProblem> {
    match (stored, right) {
        (None, None) => None,
        (None, Some(_)) => Some(RollupProblem::Missing),
        (Some(Err(_)), _) => Some(RollupProblem::Unreadable),
        (Some(Ok(_)), None) => Some(RollupProblem::Surplus),
        (Some(Ok(stored)), Some(right)) if stored.through != right.through => {
            Some(RollupProblem::Number { stored: stored.through, right: right.through })
        }
        (Some(Ok(stored)), Some(right)) => (stored != right).then_some(RollupProblem::Sums),
    }
}
