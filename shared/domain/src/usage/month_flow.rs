//! What a month's rollups say of its credits: what each bucket gained and lost, and what is held, owed and disputed.

use std::collections::BTreeMap;

use super::bucket_flow::{BucketFlow, LotFlow, decrease, increase};
use crate::{Cell, CellSum, Credits, Direction, LotId, Operation, Rollup, RollupLot, Source};

/// The credits of a month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonthFlow {
    /// The number of transactions.
    pub transactions: u64,
    /// The number of purchases.
    pub purchases: u64,
    /// Subscription credits.
    pub subscription: BucketFlow,
    /// Purchased credits.
    pub purchased: BucketFlow,
    /// Bonus credits.
    pub bonus: BucketFlow,
    /// By how much held credits grew, also those that an unlimited plan pays or that are spent on account.
    pub held: i64,
    /// By how much outstanding credits grew.
    pub outstanding: i64,
    /// By how much disputed credits grew.
    pub disputed: i64,
}

/// What moves are added up by: the time, the operation and the lot.
type MoveKey<'a> = (u8, &'a Operation, RollupLot);

impl MonthFlow {
    /// Adds the rollup of a day.
    pub fn add(&mut self, day: &Rollup) {
        let mut moves: BTreeMap<MoveKey<'_>, LotFlow> = BTreeMap::new();
        for (cell, sum) in &day.cells {
            self.count(cell, *sum);
            let Some(lot) = cell.lot else { continue };
            let credits = number(sum.credits);
            match (cell.line.is_drawn, cell.direction) {
                (true, Direction::Debit) => self.capture(lot, credits),
                // The lots that refunded credits were once taken from; where they went is in the moves.
                (true, Direction::Credit) => (),
                (false, direction) => {
                    let flow = moves.entry((cell.slot, &cell.line.operation, lot)).or_default();
                    match direction {
                        Direction::Credit => increase(&mut flow.gained, credits),
                        Direction::Debit => increase(&mut flow.lost, credits),
                    }
                }
            }
        }
        for ((_, operation, lot), flow) in moves {
            self.change(operation, lot, flow);
        }
    }

    fn count(&mut self, cell: &Cell, sum: CellSum) {
        self.transactions = self.transactions.saturating_add(sum.calls);
        if cell.line.operation.as_str() == "credit.purchase" {
            self.purchases = self.purchases.saturating_add(sum.calls);
        }
    }

    fn capture(&mut self, lot: RollupLot, credits: i64) {
        decrease(&mut self.held, credits);
        if let Some(bucket) = self.bucket(lot) {
            bucket.capture(credits);
        }
    }

    fn change(&mut self, operation: &Operation, lot: RollupLot, flow: LotFlow) {
        let flow = LotFlow { ended: ended(operation, lot.lot, flow), ..flow };
        let LotFlow { gained, lost, ended } = flow;
        match operation.as_str() {
            "credit.hold" => increase(&mut self.held, lost.saturating_sub(gained)),
            "credit.release" => {
                decrease(&mut self.held, gained.saturating_sub(lost.saturating_sub(ended)));
            }
            _ => (),
        }
        match lot.lot {
            LotId::PostPaid => increase(&mut self.outstanding, lost.saturating_sub(gained)),
            LotId::Disputed(_) => increase(&mut self.disputed, gained.saturating_sub(lost)),
            LotId::Subscription(_) | LotId::Granted(_) | LotId::Unlimited(_) => (),
        }
        if let Some(bucket) = self.bucket(lot) {
            bucket.add(operation, flow);
        }
    }

    /// The bucket of a lot; `None` for what is part of no balance.
    fn bucket(&mut self, lot: RollupLot) -> Option<&mut BucketFlow> {
        match lot.source {
            Source::Subscription if lot.lot.is_counted() => Some(&mut self.subscription),
            Source::Purchased if lot.lot.is_counted() => Some(&mut self.purchased),
            Source::Bonus if lot.lot.is_counted() => Some(&mut self.bonus),
            Source::Subscription | Source::Purchased | Source::Bonus | Source::PostPaid => None,
        }
    }
}

/// The credits that had ended when a refund or a release brought them back: subscription credits that leave in a refund
/// or a release, and held credits of a lot that leave it within the release that brings them.
pub(super) fn ended(operation: &Operation, lot: LotId, flow: LotFlow) -> i64 {
    match (operation.as_str(), lot) {
        ("credit.refund" | "credit.release", LotId::Subscription(_)) => flow.lost,
        ("credit.release", LotId::Granted(_)) => flow.lost.min(flow.gained),
        (_, _) => 0,
    }
}

fn number(credits: Credits) -> i64 {
    i64::try_from(credits.get()).unwrap_or(i64::MAX)
}
