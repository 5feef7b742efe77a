//! What a bucket gained and lost in a range of time, by operation and by cause.

use std::collections::BTreeMap;

use crate::{Operation, Rollup};

/// Credits that a bucket gained and lost. A bucket is all lots of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketFlow {
    /// What it gained, by operation.
    pub gained: BTreeMap<String, i64>,
    /// What it lost, by operation.
    pub lost: BTreeMap<String, i64>,
    /// The same by cause.
    pub causes: FlowCauses,
}

/// Why a bucket changed. `added + refunded - used - expired - held - withdrawn` is its change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCauses {
    /// Allowances, purchases, grants, and credits that an operator or a larger plan added.
    pub added: i64,
    /// Debits, and held credits that were captured.
    pub used: i64,
    /// What refunds returned.
    pub refunded: i64,
    /// What reached its end.
    pub expired: i64,
    /// Holds, less what was released or captured.
    pub held: i64,
    /// What an operator, a smaller plan, a dispute or a refund of money took back, less what of it was returned.
    pub withdrawn: i64,
}

/// What one operation moved into a lot and out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LotFlow {
    /// Credits that arrived.
    pub(super) gained: i64,
    /// Credits that left.
    pub(super) lost: i64,
}

impl BucketFlow {
    /// What it gained less what it lost.
    #[must_use]
    pub fn net(&self) -> i64 {
        let sum = |of: &BTreeMap<String, i64>| of.values().copied().fold(0, i64::saturating_add);
        sum(&self.gained).saturating_sub(sum(&self.lost))
    }

    /// What it gained, by operation: at most `most`, see [`BucketFlow::largest_lost`].
    #[must_use]
    pub fn largest_gained(&self, most: usize) -> BTreeMap<String, i64> {
        largest(&self.gained, most)
    }

    /// What it lost, by operation: at most `most`, those of the ledger itself first, then those with the most credits.
    /// The others are added up as [`Rollup::OTHERS`].
    #[must_use]
    pub fn largest_lost(&self, most: usize) -> BTreeMap<String, i64> {
        largest(&self.lost, most)
    }

    /// Adds what an operation moved.
    pub(super) fn add(&mut self, operation: &Operation, flow: LotFlow) {
        let name = operation.as_str();
        for (of, amount) in [(&mut self.gained, flow.gained), (&mut self.lost, flow.lost)] {
            if amount != 0 {
                increase(of.entry(name.to_owned()).or_default(), amount);
            }
        }
        self.causes.add(operation, flow);
    }

    /// Adds held credits that were captured: they are used and no longer held.
    pub(super) fn capture(&mut self, amount: i64) {
        increase(&mut self.causes.used, amount);
        decrease(&mut self.causes.held, amount);
    }
}

impl FlowCauses {
    fn add(&mut self, operation: &Operation, flow: LotFlow) {
        let LotFlow { gained, lost } = flow;
        match operation.as_str() {
            "credit.hold" => increase(&mut self.held, lost.saturating_sub(gained)),
            "credit.release" => decrease(&mut self.held, gained.saturating_sub(lost)),
            "credit.refund" => increase(&mut self.refunded, gained.saturating_sub(lost)),
            "credit.renewal" | "credit.expiry" => {
                increase(&mut self.added, gained);
                increase(&mut self.expired, lost);
            }
            "credit.purchase" | "credit.grant" => increase(&mut self.added, gained.saturating_sub(lost)),
            "credit.dispute"
            | "credit.dispute_won"
            | "credit.dispute_lost"
            | "credit.payment_refund"
            | "credit.refund_failed" => increase(&mut self.withdrawn, lost.saturating_sub(gained)),
            _ if operation.is_own() => {
                increase(&mut self.added, gained);
                increase(&mut self.withdrawn, lost);
            }
            _ => increase(&mut self.used, lost.saturating_sub(gained)),
        }
    }
}

fn largest(of: &BTreeMap<String, i64>, most: usize) -> BTreeMap<String, i64> {
    let is_own = |name: &str| Operation::try_from(name.to_owned()).is_ok_and(|name| name.is_own());
    let mut all: Vec<_> = of.iter().map(|(name, amount)| (name.clone(), *amount)).collect();
    // Those of equal credits stay in the order of their names.
    all.sort_by_key(|(name, amount)| (!is_own(name), std::cmp::Reverse(*amount)));
    let rest = all.split_off(most.min(all.len()));
    let mut kept: BTreeMap<_, _> = all.into_iter().collect();
    for (_, amount) in rest {
        increase(kept.entry(Rollup::OTHERS.to_owned()).or_default(), amount);
    }
    kept
}

pub(super) fn increase(sum: &mut i64, by: i64) {
    *sum = sum.saturating_add(by);
}

pub(super) fn decrease(sum: &mut i64, by: i64) {
    *sum = sum.saturating_sub(by);
}
