//! Values the movements of a month: credits take their part of what their lot is worth.

use std::collections::{BTreeMap, BTreeSet};

use super::lot_movements::{LotMovement, LotMovements, LotTransfer};
use super::lot_value::{LotValue, Returning};
use super::sale::Sale;
use super::value_flow::{ValueColumn, ValueFlows};
use super::worth::{Stock, Worth};
use crate::{Cost, LotId, LotPrice, Period, Source};

/// What happened in a month.
#[derive(Clone, Copy)]
pub struct MonthEvents<'a> {
    /// The month.
    pub month: Period,
    /// The movements of credits.
    pub movements: &'a LotMovements,
    /// The purchases whose credits arrived in it.
    pub sales: &'a [Sale],
    /// The list price of a month's plan credits; `None` where they have none.
    pub list_price: &'a dyn Fn(Period) -> Option<LotPrice>,
    /// The hash of the account's chain at the end of the month.
    pub hash: &'a str,
}

/// More credits left a lot than it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more credits left the lot {lot} than it had: {missing}")]
pub struct LotOverdrawn {
    /// The lot.
    pub lot: LotId,
    /// How many more.
    pub missing: i64,
}

/// A month that is being valued.
#[derive(Default)]
pub(super) struct Valuation {
    pub(super) lots: BTreeMap<LotId, LotValue>,
    pub(super) settled: Stock,
    pub(super) flows: ValueFlows,
    pub(super) unpriced: i64,
    transfers: Vec<LotTransfer>,
    /// The lots whose credits have left already.
    done: BTreeSet<LotId>,
}

/// Why credits leave a lot.
#[derive(Clone, Copy)]
enum Leaving {
    For(Cause),
    To(LotId),
}

/// Why credits leave a lot for good.
#[derive(Clone, Copy)]
enum Cause {
    Used,
    Expired,
    Refunded,
    Disputed,
    Adjusted,
}

impl Valuation {
    /// Begins with what the month before ended with.
    pub(super) fn begin(lots: BTreeMap<LotId, LotValue>, settled: Stock) -> Self {
        let mut valuation = Self { lots, settled, ..Self::default() };
        for (id, lot) in &valuation.lots {
            // What a dispute has set aside is in no bucket: what goes there is disputed until it comes back.
            match id {
                LotId::Disputed(_) => {
                    valuation.flows.decrease(lot.source, ValueColumn::Disputed, &lot.left.worth);
                }
                LotId::Subscription(_) | LotId::Granted(_) | LotId::PostPaid | LotId::Unlimited(_) => {
                    valuation.flows.increase(lot.source, ValueColumn::Opening, &lot.left.worth);
                }
            }
        }
        valuation
    }

    /// The prices of purchases. What settles outstanding credits was used before.
    pub(super) fn sell(&mut self, sales: &[Sale]) {
        for sale in sales {
            let minor = i64::try_from(sale.price.amount()).unwrap_or(i64::MAX);
            let price = Worth::new(minor, sale.price.currency());
            self.flows.increase(Source::Purchased, ValueColumn::Sold, &price);
            let credits: Vec<_> = std::iter::once(sale.settled).chain(sale.lots.values().copied()).collect();
            let mut parts = price.divide(&credits).into_iter();
            let settled = Stock { credits: sale.settled, worth: parts.next().unwrap_or_default() };
            self.flows.increase(Source::Purchased, ValueColumn::Used, &settled.worth);
            self.settled.add(&settled);
            for (lot, worth) in sale.lots.keys().zip(parts) {
                self.lot(*lot, Source::Purchased).left.worth.add(&worth);
            }
        }
    }

    /// Credits that arrive, plan credits with their list price.
    pub(super) fn arrive(&mut self, events: &MonthEvents<'_>) {
        let sum = |credits: i64, more: &i64| credits.saturating_add(*more);
        let sold = events.sales.iter().flat_map(|sale| sale.lots.values()).fold(0, sum);
        let bought = events.movements.lots.values().map(|movement| &movement.bought).fold(0, sum);
        // Imported purchases have no record of what was paid.
        self.unpriced = self.unpriced.saturating_add(bought.saturating_sub(sold).max(0));
        for (id, movement) in &events.movements.lots {
            let source = movement.source;
            let mut arrived = Stock { credits: movement.bought, worth: Worth::default() };
            for (month, credits) in &movement.listed {
                arrived.credits = arrived.credits.saturating_add(*credits);
                match (events.list_price)(*month) {
                    Some(price) => arrived.worth.add(&of_part(price.cost, *credits, price.amount.get())),
                    None => self.unpriced = self.unpriced.saturating_add(*credits),
                }
            }
            self.flows.increase(source, ValueColumn::Sold, &arrived.worth);
            arrived.credits = arrived.credits.saturating_add(movement.granted);
            if source == Source::Purchased {
                self.unpriced = self.unpriced.saturating_add(movement.granted);
            }
            self.lot(*id, source).left.add(&arrived);
        }
    }

    /// Credits that come back: more than left for the same cause.
    pub(super) fn come_back(&mut self, movements: &LotMovements) {
        for (id, movement) in &movements.lots {
            for (column, credits, from) in [
                (ValueColumn::Used, movement.used, Returning::Used),
                (ValueColumn::Refunded, movement.refunded, Returning::Withdrawn),
            ] {
                if credits < 0 {
                    let back = self.take_back(*id, movement.source, from, credits.saturating_neg());
                    self.flows.decrease(movement.source, column, &back.worth);
                    self.lot(*id, movement.source).left.add(&back);
                }
            }
        }
    }

    /// Credits that return to a lot: those that left it for the same cause, then those that settled outstanding credits, then
    /// those of other lots of its bucket, the newest first. What none of them had has no known price.
    fn take_back(&mut self, id: LotId, source: Source, what: Returning, credits: i64) -> Stock {
        let mut back = self.lot(id, source).returning(what).take(credits);
        let missing = |back: &Stock| credits.saturating_sub(back.credits);
        match what {
            Returning::Used if source == Source::Purchased => back.add(&self.settled.take(missing(&back))),
            Returning::Used | Returning::Withdrawn => (),
        }
        let mut others: Vec<_> = self.lots.iter_mut().filter(|(_, lot)| lot.source == source).collect();
        others.sort_by_key(|(id, _)| std::cmp::Reverse((id.age(), **id)));
        for (_, lot) in others {
            back.add(&lot.returning(what).take(missing(&back)));
        }
        let unknown = missing(&back);
        self.unpriced = self.unpriced.saturating_add(unknown);
        back.credits = back.credits.saturating_add(unknown);
        back
    }

    /// Holds. Held credits that were released to another lot than theirs move to it.
    pub(super) fn hold(&mut self, movements: &LotMovements) {
        self.transfers.clone_from(&movements.transfers);
        for (id, movement) in &movements.lots {
            let lot = self.lot(*id, movement.source);
            lot.held = lot.held.saturating_add(movement.held);
        }
        let short: Vec<_> = self.lots.iter().filter(|(_, lot)| lot.held < 0).map(|(id, _)| *id).collect();
        for to in short {
            let Some(lot) = self.lots.get_mut(&to) else { continue };
            let (source, mut missing) = (lot.source, lot.held.saturating_neg());
            lot.held = 0;
            for (from, other) in &mut self.lots {
                let credits = missing.min(other.held);
                if other.source == source && 0 < credits {
                    other.held = other.held.saturating_sub(credits);
                    missing = missing.saturating_sub(credits);
                    self.transfers.push(LotTransfer { from: *from, to, credits });
                }
            }
            self.unpriced = self.unpriced.saturating_add(missing);
            let left = &mut self.lot(to, source).left;
            left.credits = left.credits.saturating_add(missing);
        }
    }

    /// Credits that leave lots. A lot comes after those that it received credits from.
    pub(super) fn leave(&mut self, movements: &LotMovements) -> Result<(), LotOverdrawn> {
        let transfers = netted(&self.transfers);
        for transfer in &transfers {
            let source = self.lots.get(&transfer.from).map_or(Source::Purchased, |lot| lot.source);
            let left = &mut self.lot(transfer.to, source).left;
            left.credits = left.credits.saturating_add(transfer.credits);
        }
        let mut waiting: BTreeSet<_> = movements.lots.keys().copied().collect();
        waiting.extend(transfers.iter().flat_map(|transfer| [transfer.from, transfer.to]));
        while let Some(first) = waiting.first().copied() {
            let receives = |id: &LotId| {
                transfers.iter().any(|transfer| {
                    transfer.to == *id && transfer.from != *id && waiting.contains(&transfer.from)
                })
            };
            // Where lots received credits from each other, the first of them does not wait.
            let next = waiting.iter().copied().find(|id| !receives(id)).unwrap_or(first);
            waiting.remove(&next);
            self.leave_lot(next, movements.lots.get(&next), &transfers)?;
            self.done.insert(next);
        }
        Ok(())
    }

    fn leave_lot(
        &mut self,
        id: LotId,
        movement: Option<&LotMovement>,
        transfers: &[LotTransfer],
    ) -> Result<(), LotOverdrawn> {
        let source = self.lots.get(&id).map_or(Source::Purchased, |lot| lot.source);
        let mut leaving: Vec<_> = movement.map(LotMovement::leaving).into_iter().flatten().collect();
        let moved = transfers.iter().filter(|transfer| transfer.from == id);
        leaving.extend(moved.map(|transfer| (Leaving::To(transfer.to), transfer.credits)));
        let lot = self.lot(id, source);
        let mut credits: Vec<_> = leaving.iter().map(|(_, credits)| *credits).collect();
        let rest = credits.iter().fold(lot.left.credits, |rest, part| rest.saturating_sub(*part));
        if rest < lot.held {
            return Err(LotOverdrawn { lot: id, missing: lot.held.saturating_sub(rest) });
        }
        credits.push(rest);
        let mut parts = lot.left.worth.divide(&credits).into_iter();
        let parts_out: Vec<_> = parts.by_ref().take(leaving.len()).collect();
        lot.left = Stock { credits: rest, worth: parts.next().unwrap_or_default() };
        for ((why, credits), worth) in leaving.into_iter().zip(parts_out) {
            self.hand_over(id, source, why, Stock { credits, worth });
        }
        self.write_off(id, source);
        Ok(())
    }

    fn hand_over(&mut self, id: LotId, source: Source, why: Leaving, stock: Stock) {
        match why {
            Leaving::To(to) => {
                // Its credits were added before.
                self.lot(to, source).left.worth.add(&stock.worth);
                if self.done.contains(&to) {
                    self.write_off(to, source);
                }
            }
            Leaving::For(cause) => {
                let remembered = match cause {
                    Cause::Used => Some(&mut self.lot(id, source).used),
                    Cause::Refunded => Some(&mut self.lot(id, source).withdrawn),
                    Cause::Disputed | Cause::Expired | Cause::Adjusted => None,
                };
                if let Some(remembered) = remembered {
                    remembered.add(&stock);
                }
                self.book(source, cause, &stock.worth);
            }
        }
    }

    fn book(&mut self, source: Source, cause: Cause, worth: &Worth) {
        match cause {
            Cause::Used => self.flows.increase(source, ValueColumn::Used, worth),
            Cause::Expired => self.flows.increase(source, ValueColumn::Expired, worth),
            Cause::Refunded => self.flows.increase(source, ValueColumn::Refunded, worth),
            Cause::Disputed => self.flows.increase(source, ValueColumn::Disputed, worth),
            // The only column with the sign of the change.
            Cause::Adjusted => self.flows.decrease(source, ValueColumn::Adjusted, worth),
        }
    }

    /// Worth without credits is written off, so that no value stays behind.
    fn write_off(&mut self, id: LotId, source: Source) {
        let lot = self.lot(id, source);
        if lot.left.credits == 0 && !lot.left.worth.is_nothing() {
            let worth = std::mem::take(&mut lot.left.worth);
            self.book(source, Cause::Adjusted, &worth);
        }
    }

    /// The valuation with what it ends with.
    pub(super) fn end(mut self) -> Self {
        for (id, lot) in &self.lots {
            let column = match id {
                LotId::Disputed(_) => ValueColumn::Disputed,
                LotId::Subscription(_) | LotId::Granted(_) | LotId::PostPaid | LotId::Unlimited(_) => {
                    ValueColumn::Closing
                }
            };
            self.flows.increase(lot.source, column, &lot.left.worth);
        }
        self
    }

    fn lot(&mut self, id: LotId, source: Source) -> &mut LotValue {
        self.lots.entry(id).or_insert_with(|| LotValue::new(source))
    }
}

/// Transfers by pair of lots, less those that went back.
fn netted(transfers: &[LotTransfer]) -> Vec<LotTransfer> {
    let mut sums: BTreeMap<(LotId, LotId), i64> = BTreeMap::new();
    for LotTransfer { from, to, credits } in transfers {
        let sum = sums.entry((*from, *to)).or_default();
        *sum = sum.saturating_add(*credits);
    }
    let net = sums.iter().map(|((from, to), credits)| {
        let back = sums.get(&(*to, *from)).copied().unwrap_or_default();
        LotTransfer { from: *from, to: *to, credits: credits.saturating_sub(back) }
    });
    net.filter(|transfer| 0 < transfer.credits).collect()
}

impl LotMovement {
    /// The credits that left for good, by cause.
    fn leaving(&self) -> Vec<(Leaving, i64)> {
        [
            (Cause::Used, self.used),
            (Cause::Expired, self.expired),
            (Cause::Refunded, self.refunded),
            (Cause::Disputed, self.disputed),
            (Cause::Adjusted, self.adjusted),
        ]
        .into_iter()
        .map(|(cause, credits)| (Leaving::For(cause), credits.max(0)))
        .collect()
    }
}

/// What credits cost when `whole` of them have this cost, rounded down.
fn of_part(cost: Cost, credits: i64, whole: u64) -> Worth {
    let product = i128::from(cost.minor).saturating_mul(credits.into());
    let minor = product.checked_div(whole.into()).unwrap_or_default();
    Worth::new(i64::try_from(minor).unwrap_or(i64::MAX), cost.currency)
}
