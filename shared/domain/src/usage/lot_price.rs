//! What credits of a lot cost, shared out so that the parts add up to the whole.

use std::collections::BTreeMap;

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
        let mut parts: Vec<_> =
            credits.iter().map(|credits| exact((*credits).into()).div_euclid(amount)).collect();
        let floor = parts.iter().fold(0_i128, |sum, part| sum.saturating_add(*part));
        let missing = exact(all).div_euclid(amount).saturating_sub(floor);
        let mut order: Vec<_> =
            credits.iter().map(|credits| exact((*credits).into()).rem_euclid(amount)).enumerate().collect();
        order.sort_by_key(|(place, remainder)| (std::cmp::Reverse(*remainder), *place));
        for (place, _) in order.into_iter().take(usize::try_from(missing).unwrap_or_default()) {
            if let Some(part) = parts.get_mut(place) {
                *part = part.saturating_add(1);
            }
        }
        parts.into_iter().map(|part| i64::try_from(part).unwrap_or(i64::MAX)).collect()
    }
}
