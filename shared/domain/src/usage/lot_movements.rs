//! What a month's rollups say of each lot of purchased and subscription credits, by cause.

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveTime};

use super::bucket_flow::{LotFlow, decrease, increase};
use super::sale::receive;
use crate::{Credits, Direction, LotId, Operation, Period, Rollup, RollupLot, Source};

/// The movements of a month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LotMovements {
    /// The number of transactions.
    pub transactions: u64,
    /// The number of purchases.
    pub purchases: u64,
    /// By how much the balance grew.
    pub booked: i64,
    /// Credits that an unlimited plan paid.
    pub unlimited: i64,
    /// The movements of each lot.
    pub lots: BTreeMap<LotId, LotMovement>,
    /// Credits that moved between lots: merged ones, those of a dispute, and where refunded credits arrived.
    pub transfers: Vec<LotTransfer>,
}

/// What became of the credits of a lot. Credits that holds set aside stay with their lot until they are captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LotMovement {
    /// The lot's source.
    pub source: Source,
    /// Credits that were bought.
    pub bought: i64,
    /// Credits of a plan, by the month whose list price they have.
    pub listed: BTreeMap<Period, i64>,
    /// Credits that an operator granted.
    pub granted: i64,
    /// Debits and captures, less what refunds of debits returned.
    pub used: i64,
    /// Holds, less what was captured or released.
    pub held: i64,
    /// What reached its end.
    pub expired: i64,
    /// What refunds of money took back, less what a failed refund returned.
    pub refunded: i64,
    /// What lost disputes took.
    pub disputed: i64,
    /// What an operator or a smaller plan took.
    pub adjusted: i64,
}

/// Credits that went from one lot to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LotTransfer {
    /// Where they came from.
    pub from: LotId,
    /// Where they went.
    pub to: LotId,
    /// Their number.
    pub credits: i64,
}

/// The operations in which a lot may be merged into another one to make room for arriving credits.
const MERGING: [&str; 7] = [
    "credit.adjustment",
    "credit.dispute_won",
    "credit.grant",
    "credit.purchase",
    "credit.refund",
    "credit.refund_failed",
    "credit.release",
];

/// The moves by one operation in one hour.
type HourMoves = BTreeMap<RollupLot, LotFlow>;

/// An operation in an hour.
struct HourOf<'a> {
    /// The month of the hour.
    month: Period,
    operation: &'a Operation,
    /// The purchased lots that refunded credits were once taken from.
    drawn: BTreeMap<RollupLot, i64>,
}

impl LotMovements {
    /// Adds the rollup of a day.
    pub fn add(&mut self, date: NaiveDate, day: &Rollup) {
        let mut moves: BTreeMap<(u8, &Operation), HourMoves> = BTreeMap::new();
        let mut drawn: BTreeMap<(u8, &Operation), BTreeMap<RollupLot, i64>> = BTreeMap::new();
        for (cell, sum) in &day.cells {
            self.transactions = self.transactions.saturating_add(sum.calls);
            if cell.line.operation.as_str() == "credit.purchase" {
                self.purchases = self.purchases.saturating_add(sum.calls);
            }
            let Some(lot) = cell.lot else { continue };
            let credits = number(sum.credits);
            if cell.line.is_drawn {
                match cell.direction {
                    Direction::Debit => self.capture(lot, credits),
                    Direction::Credit if lot.source == Source::Purchased && is_valued(lot) => {
                        let drawn = drawn.entry((cell.slot, &cell.line.operation)).or_default();
                        increase(drawn.entry(lot).or_default(), credits);
                    }
                    Direction::Credit => (),
                }
                continue;
            }
            let flow = moves.entry((cell.slot, &cell.line.operation)).or_default().entry(lot).or_default();
            match cell.direction {
                Direction::Credit => increase(&mut flow.gained, credits),
                Direction::Debit => increase(&mut flow.lost, credits),
            }
        }
        let month = Period::of(date.and_time(NaiveTime::MIN).and_utc());
        for (place, moves) in moves {
            let drawn = drawn.remove(&place).unwrap_or_default();
            self.add_hour(&HourOf { month, operation: place.1, drawn }, moves);
        }
    }

    /// Held credits that are captured are used.
    fn capture(&mut self, lot: RollupLot, credits: i64) {
        if is_valued(lot) {
            let movement = self.of(lot);
            increase(&mut movement.used, credits);
            decrease(&mut movement.held, credits);
        }
    }

    fn add_hour(&mut self, hour: &HourOf<'_>, mut moves: HourMoves) {
        for (lot, flow) in &moves {
            let net = flow.gained.saturating_sub(flow.lost);
            match lot.lot {
                LotId::Unlimited(_) => decrease(&mut self.unlimited, net),
                LotId::Subscription(_) | LotId::Granted(_) => increase(&mut self.booked, net),
                LotId::PostPaid | LotId::Disputed(_) => (),
            }
        }
        moves.retain(|lot, _| is_valued(*lot));
        let operation = hour.operation.as_str();
        if MERGING.contains(&operation) {
            // Credits that left a lot in an operation that brings credits went to another lot.
            self.pass_on(&mut moves, is_granted, is_granted);
        }
        match operation {
            "credit.dispute" => self.pass_on(&mut moves, is_granted, is_set_aside),
            "credit.dispute_won" | "credit.dispute_lost" => {
                self.pass_on(&mut moves, is_set_aside, is_granted)
            }
            _ => (),
        }
        self.return_drawn(&hour.drawn, &mut moves);
        for (lot, flow) in moves {
            self.of(lot).add(hour, lot.lot, flow);
        }
    }

    /// Credits that left lots of one kind went to those of another kind that gained some.
    fn pass_on(&mut self, moves: &mut HourMoves, from: fn(RollupLot) -> bool, to: fn(RollupLot) -> bool) {
        let gained = moves.iter().filter(|(lot, _)| to(**lot));
        let mut gained: BTreeMap<_, _> = gained.map(|(lot, flow)| (lot.lot, flow.gained)).collect();
        let left: Vec<_> =
            moves.iter().filter(|(lot, _)| from(**lot)).map(|(lot, flow)| (*lot, *flow)).collect();
        for (from, flow) in left {
            for (to, credits) in receive(&mut gained, from.lot, flow.lost) {
                self.transfers.push(LotTransfer { from: from.lot, to, credits });
                for (lot, flow) in moves.iter_mut() {
                    if lot.lot == from.lot {
                        decrease(&mut flow.lost, credits);
                    } else if lot.lot == to {
                        decrease(&mut flow.gained, credits);
                    }
                }
            }
        }
    }

    /// Refunded credits come back to the lots that they were taken from, and go on to the lots that they arrived in.
    fn return_drawn(&mut self, drawn: &BTreeMap<RollupLot, i64>, moves: &mut HourMoves) {
        let mut elsewhere = vec![];
        for (from, credits) in drawn {
            let arrived = moves.get_mut(from).map_or(0, |flow| {
                let own = flow.gained.min(*credits);
                decrease(&mut flow.gained, own);
                own
            });
            decrease(&mut self.of(*from).used, arrived);
            elsewhere.push((*from, credits.saturating_sub(arrived)));
        }
        for (from, mut left) in elsewhere {
            for (to, flow) in moves.iter_mut().filter(|(to, _)| to.source == Source::Purchased) {
                let credits = flow.gained.min(left);
                if 0 < credits {
                    decrease(&mut flow.gained, credits);
                    decrease(&mut left, credits);
                    decrease(&mut self.of(from).used, credits);
                    self.transfers.push(LotTransfer { from: from.lot, to: to.lot, credits });
                }
            }
        }
    }

    fn of(&mut self, lot: RollupLot) -> &mut LotMovement {
        self.lots.entry(lot.lot).or_insert_with(|| LotMovement::new(lot.source))
    }
}

impl LotMovement {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            bought: 0,
            listed: BTreeMap::new(),
            granted: 0,
            used: 0,
            held: 0,
            expired: 0,
            refunded: 0,
            disputed: 0,
            adjusted: 0,
        }
    }

    fn add(&mut self, hour: &HourOf<'_>, lot: LotId, LotFlow { gained, lost }: LotFlow) {
        let month = match lot {
            LotId::Subscription(month) => month,
            LotId::Granted(_) | LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => hour.month,
        };
        let left = lost.saturating_sub(gained);
        match hour.operation.as_str() {
            "credit.hold" => increase(&mut self.held, left),
            "credit.release" => {
                decrease(&mut self.held, gained);
                increase(&mut self.expired, lost);
            }
            "credit.refund" => {
                decrease(&mut self.used, gained);
                increase(&mut self.expired, lost);
            }
            "credit.renewal" | "credit.expiry" => {
                self.list(month, gained);
                increase(&mut self.expired, lost);
            }
            "credit.plan_change" => {
                self.list(month, gained);
                increase(&mut self.adjusted, lost);
            }
            "credit.purchase" => {
                increase(&mut self.bought, gained);
                increase(&mut self.adjusted, lost);
            }
            // What returns to no lot settles outstanding credits, which were used before.
            "credit.dispute_won" if matches!(lot, LotId::Disputed(_)) => increase(&mut self.used, left),
            "credit.dispute" | "credit.dispute_won" | "credit.dispute_lost" => {
                increase(&mut self.disputed, left)
            }
            "credit.payment_refund" | "credit.refund_failed" => increase(&mut self.refunded, left),
            _ if hour.operation.is_own() => {
                increase(&mut self.granted, gained);
                increase(&mut self.adjusted, lost);
            }
            _ => increase(&mut self.used, left),
        }
    }

    fn list(&mut self, month: Period, credits: i64) {
        if credits != 0 {
            increase(self.listed.entry(month).or_default(), credits);
        }
    }
}

/// Whether credits of a lot have a value: bonus credits are worth nothing. What a dispute has set aside keeps its value until
/// the dispute ends.
fn is_valued(lot: RollupLot) -> bool {
    match lot.source {
        Source::Subscription | Source::Purchased => lot.lot.is_counted() || is_set_aside(lot),
        Source::Bonus | Source::PostPaid => false,
    }
}

fn is_granted(lot: RollupLot) -> bool {
    matches!(lot.lot, LotId::Granted(_))
}

fn is_set_aside(lot: RollupLot) -> bool {
    matches!(lot.lot, LotId::Disputed(_))
}

fn number(credits: Credits) -> i64 {
    i64::try_from(credits.get()).unwrap_or(i64::MAX)
}
