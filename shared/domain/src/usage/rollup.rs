//! Rollups: sums of transactions by time, operation, service, API key and lot.

use std::collections::BTreeMap;

use crate::{
    Credits, Direction, DrawdownReason, Drawn, EntryId, KeyId, LotId, Move, Operation, Receipt, Reference,
    Service, Source,
};

/// What a cell of a rollup counts, besides its time and its lot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RollupLine {
    /// The operation: for a capture the hold's operation.
    pub operation: Operation,
    /// The service that was used.
    pub service: Option<Service>,
    /// The API key of the request.
    pub key: Option<KeyId>,
    /// Whether the credits were drawn from an earlier transaction: those that a capture spends, and those that a refund
    /// returns, by the lots that they came from. They change no lot.
    pub is_drawn: bool,
}

/// The lot of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RollupLot {
    /// The lot.
    pub lot: LotId,
    /// Its source.
    pub source: Source,
}

/// One cell of a rollup.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// The part of the rollup's time: the hour of a day, 0 to 23, or the day of a month, 1 to 31.
    pub slot: u8,
    /// What it counts.
    pub line: RollupLine,
    /// The lot; none for transactions that move no credits.
    pub lot: Option<RollupLot>,
    /// Whether credits left the lot or arrived.
    pub direction: Direction,
}

/// The sums of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CellSum {
    /// The number of transactions. A transaction with several lots counts in the first of its cells.
    pub calls: u64,
    /// Credits.
    pub credits: Credits,
}

/// Sums of transactions of a day or a month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollup {
    /// The cells.
    pub cells: BTreeMap<Cell, CellSum>,
}

/// What one transaction adds to rollups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupRecord {
    /// The transaction's number.
    pub sequence: u64,
    /// Its id. The day of a transaction is that of the hash chain: the latest day of any id up to its own.
    pub id: EntryId,
    /// What is counted of it, by line, lot and direction.
    pub parts: Vec<RollupPart>,
    /// The caller's id of the customer.
    pub customer: Option<Reference>,
    /// The caller's id of the staff member.
    pub member: Option<Reference>,
}

/// A part of a transaction: credits of one lot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupPart {
    /// What it is.
    pub line: RollupLine,
    /// The lot; none for a transaction that moves no credits.
    pub lot: Option<RollupLot>,
    /// The direction.
    pub direction: Direction,
    /// Its sums.
    pub sum: CellSum,
}

impl CellSum {
    /// Adds other sums.
    pub fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.credits = self.credits.plus(other.credits).unwrap_or(Credits::MAX);
    }

    /// Subtracts other sums as far as they are there, and returns what is left of them.
    pub(super) fn less(&mut self, other: Self) -> Self {
        let (calls, credits) = (self.calls.min(other.calls), self.credits.min(other.credits));
        self.calls = self.calls.saturating_sub(calls);
        self.credits = self.credits.less(credits).unwrap_or_default();
        let credits = other.credits.less(credits).unwrap_or_default();
        Self { calls: other.calls.saturating_sub(calls), credits }
    }
}

impl Rollup {
    /// The number of cells from which on further operations of callers are counted as [`Rollup::OTHERS`], so that a rollup
    /// stays one item of a table. The ledger's own operations keep their cells.
    pub const CELLS_MAX: usize = 8_000;

    /// The operation that counts all others of a rollup that is full.
    pub const OTHERS: &'static str = "other";

    /// Adds a transaction in a slot.
    pub fn add(&mut self, slot: u8, record: &RollupRecord) {
        for part in &record.parts {
            let RollupPart { line, lot, direction, sum } = part.clone();
            self.add_to(Cell { slot, line, lot, direction }, sum);
        }
    }

    /// Adds another rollup of the same time.
    pub fn join(&mut self, other: &Self) {
        for (cell, sum) in &other.cells {
            self.add_to(cell.clone(), *sum);
        }
    }

    /// Whether it has the sums of another rollup. Of two rollups one of which is full, only the ledger's own operations are
    /// told apart: which others had a cell of their own depends on the order in which they were added.
    #[must_use]
    pub fn has_sums_of(&self, other: &Self) -> bool {
        let is_full = self.cells.len().max(other.cells.len()) >= Self::CELLS_MAX;
        if is_full { self.of_others() == other.of_others() } else { self == other }
    }

    /// The rollup with all operations of callers as one.
    fn of_others(&self) -> Self {
        let mut folded = Self::default();
        for (cell, sum) in &self.cells {
            let is_own = cell.line.operation.is_own();
            let cell = if is_own { cell.clone() } else { cell.clone().of_others() };
            folded.cells.entry(cell).or_default().add(*sum);
        }
        folded
    }

    fn add_to(&mut self, cell: Cell, sum: CellSum) {
        let is_full = self.cells.len() >= Self::CELLS_MAX && !self.cells.contains_key(&cell);
        let cell = if is_full && !cell.line.operation.is_own() { cell.of_others() } else { cell };
        self.cells.entry(cell).or_default().add(sum);
    }

    /// About how many bytes it takes in a table, at most. It depends on the cells alone, and grows with each cell.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let mut names: Vec<_> =
            self.cells.keys().map(|cell| (cell.line.operation.as_str(), cell.line.service)).collect();
        let mut keys: Vec<_> = self.cells.keys().filter_map(|cell| cell.line.key).collect();
        let mut lots: Vec<_> = self.cells.keys().filter_map(|cell| cell.lot).collect();
        distinct(&mut names);
        distinct(&mut keys);
        distinct(&mut lots);
        let names: usize = names.iter().map(|(name, _)| name.len().saturating_add(NAME_BYTES)).sum();
        let keys = keys.len().saturating_mul(KEY_BYTES);
        let lots = lots.len().saturating_mul(LOT_BYTES);
        let cells = self.cells.len().saturating_mul(CELL_BYTES);
        names.saturating_add(keys).saturating_add(lots).saturating_add(cells)
    }
}

/// What an operation takes besides its name: its length and its service.
const NAME_BYTES: usize = 2;
const KEY_BYTES: usize = 16;
const LOT_BYTES: usize = 18;
const CELL_BYTES: usize = 10;

fn distinct<T: Ord>(values: &mut Vec<T>) {
    values.sort();
    values.dedup();
}

impl Cell {
    /// The cell for operations that have no room. Its own lot and direction stay, so that no sum by lot changes.
    fn of_others(self) -> Self {
        let line =
            RollupLine { operation: Operation::own(Rollup::OTHERS), service: None, key: None, ..self.line };
        Self { line, ..self }
    }
}

impl RollupRecord {
    /// What a transaction adds: all its moves; and the credits that a capture spends or a refund returns, by the lots that
    /// they were drawn from. Credits that had ended when a refund or a release brought them back leave their lot as
    /// `credit.expiry`, so that sums tell them from credits that moved to another lot.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Self {
        let Receipt { entry, details, sequence, .. } = receipt;
        let line = |is_drawn| RollupLine {
            operation: receipt.paid_for().clone(),
            service: details.service,
            key: details.key_id,
            is_drawn,
        };
        let moved = entry.moves.iter().map(|part| {
            let lot = RollupLot { lot: part.lot, source: part.source };
            let line = if has_ended_on_return(receipt, part) {
                RollupLine { operation: Operation::own("credit.expiry"), ..line(false) }
            } else {
                line(false)
            };
            (line, Some(lot), part.direction, part.amount)
        });
        let drawn = details.drawn.iter().filter(|drawn| is_usage(drawn)).flat_map(|drawn| {
            let direction =
                if drawn.why == DrawdownReason::Capture { Direction::Debit } else { Direction::Credit };
            drawn.shares.iter().map(move |share| {
                let lot = RollupLot { lot: share.lot, source: share.source };
                (line(true), Some(lot), direction, share.amount)
            })
        });
        let mut parts: Vec<_> = drawn.chain(moved).collect();
        if parts.is_empty() {
            parts.push((line(false), None, entry.direction, Credits::ZERO));
        }
        let parts = parts.into_iter().enumerate().map(|(place, (line, lot, direction, credits))| {
            let calls = u64::from(place == 0);
            RollupPart { line, lot, direction, sum: CellSum { calls, credits } }
        });
        Self {
            sequence: *sequence,
            id: entry.id,
            parts: parts.collect(),
            customer: details.customer_id.clone(),
            member: details.member_id.clone(),
        }
    }
}

/// Whether these are credits that had ended when a refund or a release brought them back.
fn has_ended_on_return(receipt: &Receipt, part: &Move) -> bool {
    let is_return = receipt.details.drawn.is_some() && receipt.entry.direction == Direction::Credit;
    is_return && part.direction == Direction::Debit && receipt.has_ended(part)
}

/// Whether drawn credits are usage, or usage that is taken back. Released credits were never used.
fn is_usage(drawn: &Drawn) -> bool {
    match drawn.why {
        DrawdownReason::Capture | DrawdownReason::Refund { .. } => true,
        DrawdownReason::Release | DrawdownReason::Expiry => false,
    }
}
