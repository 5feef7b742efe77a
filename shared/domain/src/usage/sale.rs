//! What a purchase brought: its price, and the lots to which it added credits.

use std::collections::BTreeMap;

use crate::{Direction, LotId, Money, Receipt};

/// A purchase, as what it added to lots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// What was paid.
    pub price: Money,
    /// The credits that settled outstanding ones.
    pub settled: i64,
    /// The credits that it added, by lot.
    pub lots: BTreeMap<LotId, i64>,
}

impl Sale {
    /// The sale of a transaction; `None` if it is no purchase.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Option<Self> {
        let price = receipt.details.paid.as_ref()?.price;
        let mut sale = Self { price, settled: 0, lots: BTreeMap::new() };
        let mut merged = vec![];
        for part in &receipt.entry.moves {
            let credits = i64::try_from(part.amount.get()).unwrap_or(i64::MAX);
            match (part.lot, part.direction) {
                (LotId::PostPaid, Direction::Credit) => sale.settled = sale.settled.saturating_add(credits),
                (lot, Direction::Credit) if lot.is_counted() => {
                    let sum = sale.lots.entry(lot).or_default();
                    *sum = sum.saturating_add(credits);
                }
                (lot, Direction::Debit) if lot.is_counted() => merged.push((lot, credits)),
                (_, Direction::Credit | Direction::Debit) => (),
            }
        }
        for (from, credits) in merged {
            receive(&mut sale.lots, from, credits);
        }
        sale.lots.retain(|_, credits| *credits != 0);
        Some(sale)
    }
}

/// Where credits went that left a lot because it was merged: to the other lots that gained some in the same transaction, the
/// oldest first. Takes them from `gained`, which then has only credits that are new; returns them by lot.
pub(super) fn receive(gained: &mut BTreeMap<LotId, i64>, from: LotId, credits: i64) -> Vec<(LotId, i64)> {
    let mut rest = credits;
    let mut received = vec![];
    let mut others: Vec<_> = gained.iter_mut().filter(|(lot, _)| **lot != from).collect();
    others.sort_by_key(|(lot, _)| lot.age());
    for (lot, gained) in others {
        let part = rest.min(*gained).max(0);
        if part != 0 {
            *gained = gained.saturating_sub(part);
            rest = rest.saturating_sub(part);
            received.push((*lot, part));
        }
    }
    received
}
