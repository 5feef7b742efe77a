//! The value of an account's unused credits at the end of a month, and how it came about. Each month begins with what the
//! one before it ended with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lot_value::LotValue;
use super::valuation::{LotOverdrawn, MonthEvents, Valuation};
use super::value_flow::ValueFlows;
use super::worth::Stock;
use crate::{LotId, Period};

/// The value of an account's unused credits in a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthValue {
    /// The month.
    pub month: Period,
    /// How the value changed.
    pub flows: ValueFlows,
    /// Credits that arrived, or that an unlimited plan paid, without a known price.
    pub unpriced: i64,
    /// The balance at the end of the month.
    pub booked: i64,
    /// The lots that it ends with.
    pub lots: BTreeMap<LotId, LotValue>,
    /// What settled outstanding credits: they were used before they were paid for.
    #[serde(default, skip_serializing_if = "Stock::is_empty")]
    pub settled: Stock,
    /// The hash of the account's chain at the end of the month.
    pub hash: String,
}

/// How many lots that have nothing left are remembered, the newest, so that credits that return to them have their worth.
const SPENT_LOTS_MAX: usize = 400;

/// How many other lots a record has. An account has at most 17 lots with credits; the others are held from.
const LIVE_LOTS_MAX: usize = 800;

impl MonthValue {
    /// The value after a month that begins with `before`; with nothing for an account's first month.
    ///
    /// # Errors
    /// [`LotOverdrawn`] when the movements do not follow from what the month begins with.
    pub fn after(before: Option<&Self>, events: MonthEvents<'_>) -> Result<Self, LotOverdrawn> {
        let (lots, settled) =
            before.map(|before| (before.lots.clone(), before.settled.clone())).unwrap_or_default();
        let mut valuation = Valuation::begin(lots, settled);
        valuation.sell(events.sales);
        valuation.arrive(&events);
        valuation.come_back(events.movements);
        valuation.hold(events.movements);
        valuation.leave(events.movements)?;
        let Valuation { mut lots, settled, flows, unpriced, .. } = valuation.end();
        forget(&mut lots);
        let opening = before.map_or(0, |before| before.booked);
        Ok(Self {
            month: events.month,
            flows,
            unpriced: unpriced.saturating_add(events.movements.unlimited.max(0)),
            booked: opening.saturating_add(events.movements.booked),
            lots,
            settled,
            hash: events.hash.to_owned(),
        })
    }
}

/// Keeps a record within one item of a table: forgets the oldest lots that have nothing left, and joins the oldest of the
/// others, so that no value is lost.
fn forget(lots: &mut BTreeMap<LotId, LotValue>) {
    let ids = |lots: &BTreeMap<LotId, LotValue>, is_spent: bool| {
        // What disputes have set aside stays apart: an account has at most a few at a time.
        let is_one = |id: &LotId, lot: &LotValue| {
            lot.is_spent() == is_spent && (is_spent || !matches!(id, LotId::Disputed(_)))
        };
        let found = lots.iter().filter(|(id, lot)| is_one(id, lot)).map(|(id, _)| *id);
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|id| (id.age(), *id));
        found
    };
    let spent = ids(lots, true);
    for id in spent.iter().take(spent.len().saturating_sub(SPENT_LOTS_MAX)) {
        lots.remove(id);
    }
    let live = ids(lots, false);
    for id in live.iter().take(live.len().saturating_sub(LIVE_LOTS_MAX)) {
        let Some(old) = lots.remove(id) else { continue };
        let next =
            live.iter().rev().find(|other| lots.get(other).is_some_and(|lot| lot.source == old.source));
        match next.and_then(|next| lots.get_mut(next)) {
            Some(next) => {
                next.left.add(&old.left);
                next.used.add(&old.used);
                next.withdrawn.add(&old.withdrawn);
                next.held = next.held.saturating_add(old.held);
            }
            None => {
                lots.insert(*id, old);
            }
        }
    }
}
