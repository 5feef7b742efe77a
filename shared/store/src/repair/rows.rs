//! The rows that an account is rebuilt from, checked against their chain, and the rows that were never written.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use crate::chain::raw_rows::{RawRow, RawRows};
use crate::chain::watermark::Watermark;
use crate::repair::rebuilt_item::rebuilt;
use crate::table::attribute::number_of;
use crate::table::error::Fault;
use crate::table::item::{EntryItem, decode, receipt};
use crate::table::key::{Key, StoredItem};
use crate::table::ledger::Ledger;
use domain::{Account, AccountId, Entry, Growth, Period, Receipt, RecordKind, RowFacts, RowText, Tip};

/// How many rows one repair reads at most: as many as one call has time for.
const ROWS_MAX: u64 = 200_000;

/// The rows of an account, and the facts that they add up to.
#[derive(Default)]
pub(crate) struct RepairRows {
    pub(crate) facts: RowFacts,
    /// Rows whose number is not the next one.
    waiting: BTreeMap<u64, RawRow>,
    pub(crate) problems: Vec<String>,
}

impl Ledger {
    /// The rows of an account, checked against its chain.
    pub(crate) async fn repair_rows(
        &self,
        id: AccountId,
        watermark: &Watermark,
        now: DateTime<Utc>,
    ) -> Result<RepairRows, Fault> {
        let mut rows = RepairRows::default();
        let mut tip = Tip::genesis(id);
        let latest = watermark.tip.iter().flat_map(|tip| &tip.open.links).map(|link| link.id.time()).max();
        let last = Period::of(latest.map_or(now, |latest| latest.max(now)));
        let of = self.rows_of_account(id).await?;
        let mut pages = RawRows::of(self, of, Period::of(id.org.time()), last);
        while let Some(page) = pages.read().await? {
            for row in page {
                rows.add(row);
            }
            rows.apply(&mut tip, watermark);
            if ROWS_MAX <= rows.facts.totals().sequence {
                rows.problems.push(format!("it has more than {ROWS_MAX} rows, which one call cannot read"));
                return Ok(rows);
            }
        }
        if watermark.is_broken {
            rows.problems.push(
                "the end of its hash chain is unreadable, so its rows cannot be checked against it; audit it"
                    .to_owned(),
            );
        } else if rows.facts.totals().sequence < watermark.chained() {
            let first = rows.facts.totals().sequence.saturating_add(1);
            rows.problems.push(format!("row {first} is missing or unreadable, and was chained; audit it"));
        }
        Ok(rows)
    }

    /// Builds the rows that were never written, from the entries in skipped records and in the item itself.
    pub(crate) async fn missing_rows(
        &self,
        id: AccountId,
        rows: &mut RepairRows,
        images: &[&StoredItem],
    ) -> Result<Vec<Receipt>, Fault> {
        let mut missing = Vec::new();
        for image in images {
            if !rows.problems.is_empty() {
                break;
            }
            let Some(entry) = last_entry(image) else { continue };
            let known = rows.facts.totals().sequence;
            let first = sequence(image).and_then(|seq| seq.checked_sub(entry.rows()));
            let is_known = first.is_some_and(|first| first < known)
                || rows.facts.last().is_some_and(|last| last.entry.id == entry.last_id())
                || self.table.get(&Key::Row(id, entry.last_id()), "look for a row").await?.is_some();
            if is_known {
                continue;
            }
            if first.is_some_and(|first| known < first) {
                rows.problems.push(lost(known));
                break;
            }
            let details = self.details(id, &entry).await?;
            let totals = rows.facts.totals().after(&entry, &details);
            match rebuilt(id, image, &totals, &rows.facts) {
                Ok(account) => {
                    let receipts = Account { last: Some(entry), ..account }.receipts(details);
                    receipts.iter().cloned().for_each(|receipt| rows.facts.add(receipt));
                    missing.extend(receipts);
                }
                Err(problems) => rows.problems.extend(problems),
            }
        }
        if let Some(number) = rows.waiting.keys().next().filter(|_| rows.problems.is_empty()) {
            rows.problems.push(format!("rows before row {number} are missing, or it does not belong there"));
        }
        Ok(missing)
    }
}

/// The problem that the rows end before the ledger does.
pub(crate) fn lost(known: u64) -> String {
    let next = known.saturating_add(1);
    format!(
        "row {next} is missing, and no record of the stream that shows its entry was kept; if the projector is behind, \
         try again"
    )
}

/// The number of the last entry in an account's item, if it is readable.
pub(crate) fn sequence(item: &StoredItem) -> Option<u64> {
    number_of(item, "seq")
}

/// The last entry of an account's item, if it is readable.
pub(crate) fn last_entry(image: &StoredItem) -> Option<Entry> {
    match image.get("last") {
        Some(AttributeValue::M(last)) => {
            decode::<EntryItem>("an entry", last.clone()).ok().map(EntryItem::entry)
        }
        Some(_) | None => None,
    }
}

impl RepairRows {
    /// Keeps a row until all rows with lower numbers are applied.
    fn add(&mut self, row: RawRow) {
        let place = row.place.sort.clone();
        match row.number() {
            Some(number) if self.facts.totals().sequence < number && !self.waiting.contains_key(&number) => {
                self.waiting.insert(number, row);
            }
            Some(number) => self.problems.push(format!("there is more than one row {number} (txn_{place})")),
            None => self.problems.push(format!("the row txn_{place} has no number")),
        }
    }

    /// Applies the rows that have no gap before them.
    fn apply(&mut self, tip: &mut Tip, watermark: &Watermark) {
        while let Some((sequence, row)) = self.next() {
            let (id, text) = (row.id(), row.text());
            let receipt = receipt(row.item).ok();
            let receipt =
                receipt.filter(|receipt| receipt.sequence == sequence && Some(receipt.entry.id) == id);
            let (Some(id), Some(receipt)) = (id, receipt) else {
                self.problems.push(format!("row {sequence} is no readable transaction"));
                self.waiting.clear();
                return;
            };
            let kind = RecordKind::of(&receipt);
            tip.add(&RowText { id, text, kind }, &mut Growth::default());
            if sequence == watermark.chained()
                && watermark.tip.as_ref().is_some_and(|known| known.hash() != tip.hash())
            {
                let wrong =
                    format!("the rows up to row {sequence} have changed since they were chained; audit it");
                self.problems.push(wrong);
            }
            self.facts.add(receipt);
        }
    }

    /// The row with the next number, if it was read.
    fn next(&mut self) -> Option<(u64, RawRow)> {
        let next = self.facts.totals().sequence.saturating_add(1);
        self.waiting.remove(&next).map(|row| (next, row))
    }
}
