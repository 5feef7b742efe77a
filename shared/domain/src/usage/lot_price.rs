//! What credits of a lot cost, shared out so that the parts add up to the whole.

use std::collections::BTreeMap;

use super::apportion::apportion;
use crate::{Cost, Credits, LotId};

/// What all credits of a lot cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LotPrice {
    /// The cost; 0 minor units for bonus credits.
    pub cost: Cost,
    /// How many credits cost that much.
    pub amount: Credits,
}

/// The prices of lots. A lot without one has no known price.
pub type LotPrices = BTreeMap<LotId, LotPrice>;

impl LotPrice {
    /// What each of these numbers of credits costs in minor units, negative for refunded credits. Together they are the cost
    /// of all, rounded down; each is its exact cost, rounded down or up: up where the remainders are largest, and of equal
    /// ones for the first.
    #[must_use]
    pub fn share_out(&self, credits: &[i64]) -> Vec<i64> {
        let amount = i128::from(self.amount.get()).max(1);
        let exact = |credits: i128| i128::from(self.cost.minor).saturating_mul(credits);
        let all = credits.iter().fold(0_i128, |sum, credits| sum.saturating_add((*credits).into()));
        let numbers: Vec<_> = credits.iter().map(|credits| exact((*credits).into())).collect();
        apportion(&numbers, amount, exact(all).div_euclid(amount))
    }
}
