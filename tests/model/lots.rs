//! Records of lots: each change of the ledger is counted once.

use std::collections::BTreeMap;

use domain::{AccountId, Arrival, LotChange, LotChangeKind, LotId, LotRecord, Receipt};
use tests::TestLedger;

/// The records of an account's lots, as stored.
pub(crate) async fn stored_lots(fixture: &TestLedger, id: AccountId) -> BTreeMap<LotId, LotRecord> {
    let (lots, more) = fixture.activity().lots(id, None, 1_000).await.unwrap();
    assert!(!more);
    lots.into_iter().map(|lot| (lot.record.lot, lot.record)).collect()
}

/// The records that rows add up to; they are newest first.
pub(crate) fn lots_of(rows: &[Receipt]) -> BTreeMap<LotId, LotRecord> {
    let mut lots: BTreeMap<LotId, LotRecord> = BTreeMap::new();
    for change in rows.iter().rev().flat_map(LotChange::of) {
        let from = match change.kind {
            LotChangeKind::Arrived(Arrival::FromLot(from)) => lots.get(&from).cloned(),
            LotChangeKind::Arrived(Arrival::Granted | Arrival::Bought { .. })
            | LotChangeKind::Returned
            | LotChangeKind::Expired
            | LotChangeKind::Withdrawn
            | LotChangeKind::Moved => None,
        };
        let lot = lots.entry(change.lot).or_insert_with(|| LotRecord::begin(&change));
        lot.add(&change, from.as_ref());
    }
    lots
}
