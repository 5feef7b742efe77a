//! The items that a history of transactions leaves: rows, the hash chain, rollups, records of lots, and the watermark.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, NaiveDate, Utc};

use crate::activity::lots::CountedLots;
use crate::activity::rollups::{Counted, MonthOf};
use crate::chain::items::growth_items;
use crate::chain::record_blocks::block_items;
use crate::chain::watermark::{Notified, Watermark};
use crate::table::canonical;
use crate::table::error::Fault;
use crate::table::item::{RowItem, receipt, with_key};
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use crate::write::expression::opened;
use domain::{
    Account, AccountId, BurnRates, DayTotal, EntryId, Growth, LotChange, PendingRollup, Period, Receipt,
    RecordKind, RollupRecord, RollupTally, RowText, Tip,
};

/// An item of a table.
pub type BulkItem = HashMap<String, AttributeValue>;

/// What follows from the transactions of one account, as if the projector had processed each of them.
#[derive(Debug)]
pub struct BulkBooks {
    account: AccountId,
    tip: Tip,
    growth: Growth,
    pending: Option<PendingRollup>,
    days: BTreeMap<NaiveDate, Counted>,
    months: BTreeMap<MonthOf, Counted>,
    lots: CountedLots,
}

/// Items to write.
#[derive(Clone, Debug, Default)]
pub struct BulkItems {
    /// Those of the ledger table.
    pub ledger: Vec<BulkItem>,
    /// Those of the activity table.
    pub activity: Vec<BulkItem>,
}

impl BulkBooks {
    /// The books of an account without transactions.
    #[must_use]
    pub fn of(account: AccountId) -> Self {
        let (tip, growth, pending) = (Tip::genesis(account), Growth::default(), None);
        let (days, months, lots) = (BTreeMap::new(), BTreeMap::new(), CountedLots::default());
        Self { account, tip, growth, pending, days, months, lots }
    }

    /// Adds the transactions that follow, by rising numbers, and returns the items of their rows.
    ///
    /// # Errors
    /// When an item can't be encoded.
    pub fn add(&mut self, receipts: &[Receipt]) -> Result<Vec<BulkItem>, Fault> {
        let through = self.tip.sequence();
        let mut rows = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            let id = receipt.entry.id;
            let row = with_key(&Key::Row(self.account, id), &RowItem::from(receipt))?;
            self.tip.add(
                &RowText { id, text: canonical::text(&row), kind: RecordKind::of(receipt) },
                &mut self.growth,
            );
            rows.push(row);
        }
        let records: Vec<_> = receipts.iter().map(RollupRecord::of).collect();
        let tally = RollupTally::of(self.pending.take(), through, &records);
        self.count_totals(&tally.totals);
        for dated in &tally.named {
            for of in MonthOf::of(dated) {
                let known = self.months.entry(of).or_default();
                known.count_record(dated);
            }
        }
        self.pending = tally.pending;
        self.lots.add(&receipts.iter().flat_map(LotChange::of).collect::<Vec<_>>());
        Ok(rows)
    }

    fn count_totals(&mut self, totals: &[DayTotal]) {
        for totals in totals.chunk_by(|one, next| one.pending.day == next.pending.day) {
            let Some(day) = totals.first().map(|total| total.pending.day) else { continue };
            let known = self.days.entry(day).or_default();
            if let Some(next) = known.with_totals(totals) {
                *known = next;
            }
        }
    }

    /// The items besides the rows: those of the chain, the index of records, the rollups, the records of lots, and the
    /// watermark. Events of all transactions must be emitted; `alerts` is the revision of the alert state after them.
    ///
    /// # Errors
    /// When an item can't be encoded.
    pub fn finish(self, alerts: u64) -> Result<BulkItems, Fault> {
        let Self { account, tip, growth, pending, days, months, lots } = self;
        let through = tip.sequence();
        let notified = Notified { through, alerts, pending, rates: BurnRates::default() };
        let mut ledger = growth_items(account, &growth);
        ledger.push(Watermark::default().followed_by(through, notified, tip).item(account)?);
        ledger.extend(block_items(account, &growth.blocks)?);
        let days = days.iter().map(|(day, counted)| counted.item(&Key::DayRollup(account, *day)));
        let months = months.iter().map(|(of, counted)| counted.item(&of.key(account)));
        let lots = lots.iter().map(|lot| lot.item(&Key::Lot(account, lot.record.lot)));
        Ok(BulkItems { ledger, activity: days.chain(months).chain(lots).collect::<Result<_, _>>()? })
    }
}

/// The item of an account.
///
/// # Errors
/// When it can't be encoded.
pub fn account_item(account: &Account) -> Result<BulkItem, Fault> {
    opened(account)
}

impl Ledger {
    /// The transactions of an account after the one with the number `known`, by rising numbers. Reads the rows with ids
    /// from the time `since` on.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn transactions_since(
        &self,
        account: &Account,
        known: u64,
        since: DateTime<Utc>,
    ) -> Result<Vec<Receipt>, Fault> {
        let (mut first, last) = (EntryId::first_at(since), account.floor());
        let mut found = BTreeMap::new();
        while first <= last {
            let next = EntryId::first_at(Period::of(first.time()).next().start());
            for item in self.rows_between(account.id, first, last.min(next.before()), true).await? {
                let receipt = receipt(item)?;
                found.insert(receipt.sequence, receipt);
            }
            first = next;
        }
        Ok(found.into_iter().filter(|(number, _)| known < *number).map(|(_, receipt)| receipt).collect())
    }
}
