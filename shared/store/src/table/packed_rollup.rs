//! The items of rollups: sums in as few bytes as they fit in, because every write pays for the whole item.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Datelike, Days, NaiveDate};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::table::error::Fault;
use crate::table::key::StoredItem;
use domain::{
    Cell, CellSum, Credits, Direction, EntryId, KeyId, LotId, Operation, PendingRollup, Period, Rollup,
    RollupLine, RollupLot, Service, Source,
};

/// What a rollup is called in faults.
const ROLLUP: &str = "a rollup";

/// A rollup: each operation, key and lot once, and cells that name them by their places.
#[derive(Serialize, Deserialize)]
struct PackedRollup {
    /// Operations and their services.
    names: Vec<(Operation, Option<Service>)>,
    keys: Vec<[u8; KeyId::BYTES]>,
    lots: Vec<PackedLot>,
    cells: Vec<PackedCell>,
}

#[derive(Serialize, Deserialize)]
struct PackedCell {
    slot: u8,
    /// The place of its operation.
    name: u32,
    /// The place of its key, from 1; 0 for none.
    key: u32,
    /// The place of its lot, from 1; 0 for none.
    lot: u32,
    /// 1 for credits that arrive, and 2 more for drawn ones.
    flags: u8,
    calls: u64,
    credits: u64,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
enum PackedLot {
    /// The month, counted from the year 0.
    Subscription(Source, u32),
    Granted(Source, [u8; EntryId::BYTES]),
    PostPaid(Source),
    /// The month.
    Unlimited(Source, u32),
    Disputed(Source, [u8; EntryId::BYTES]),
}

#[derive(Serialize, Deserialize)]
struct PackedPending {
    after: u64,
    /// How many more than `after`.
    more: u64,
    /// Days since 1970.
    day: u64,
    rollup: PackedRollup,
}

/// The first byte of what is written: the format that follows.
const FORMAT: u8 = 1;

const CREDIT: u8 = 1;
const DRAWN: u8 = 2;

/// A rollup as an attribute.
pub(crate) fn pack(rollup: &Rollup) -> Result<AttributeValue, Fault> {
    write(&PackedRollup::of(rollup))
}

/// Reads what [`pack`] writes.
pub(crate) fn unpack(item: &StoredItem, name: &str) -> Result<Rollup, Fault> {
    let Some(AttributeValue::B(bytes)) = item.get(name) else {
        return Err(Fault::corrupt(ROLLUP, "it has no sums"));
    };
    read::<PackedRollup>(bytes)?.rollup().ok_or_else(|| Fault::corrupt(ROLLUP, "a cell names nothing"))
}

/// What is pending as an attribute.
pub(crate) fn pack_pending(pending: &PendingRollup) -> Result<AttributeValue, Fault> {
    let PendingRollup { after, last, day, rollup } = pending;
    let day = day.signed_duration_since(NaiveDate::default()).num_days();
    write(&PackedPending {
        after: *after,
        more: last.saturating_sub(*after),
        day: u64::try_from(day).unwrap_or_default(),
        rollup: PackedRollup::of(rollup),
    })
}

/// Reads what [`pack_pending`] writes; `None` if it is unreadable.
pub(crate) fn unpack_pending(bytes: &Blob) -> Option<PendingRollup> {
    let PackedPending { after, more, day, rollup } = read(bytes).ok()?;
    Some(PendingRollup {
        after,
        last: after.checked_add(more)?,
        day: NaiveDate::default().checked_add_days(Days::new(day))?,
        rollup: rollup.rollup()?,
    })
}

fn write<T: Serialize>(value: &T) -> Result<AttributeValue, Fault> {
    let bytes = postcard::to_allocvec(&(FORMAT, value))
        .map_err(|source| Fault::corrupt("a rollup to be written", source))?;
    Ok(AttributeValue::B(Blob::new(bytes)))
}

fn read<T: DeserializeOwned>(bytes: &Blob) -> Result<T, Fault> {
    let (format, value): (u8, T) =
        postcard::from_bytes(bytes.as_ref()).map_err(|source| Fault::corrupt(ROLLUP, source))?;
    if format == FORMAT { Ok(value) } else { Err(Fault::corrupt(ROLLUP, "it has an unknown format")) }
}

impl PackedRollup {
    fn of(rollup: &Rollup) -> Self {
        let mut packed = Self { names: vec![], keys: vec![], lots: vec![], cells: vec![] };
        for (Cell { slot, line, lot, direction }, sum) in &rollup.cells {
            let name = place_of(&mut packed.names, (line.operation.clone(), line.service));
            let key = line.key.map_or(0, |key| place_of(&mut packed.keys, key.bytes()).saturating_add(1));
            let lot = lot.map_or(0, |lot| place_of(&mut packed.lots, PackedLot::of(lot)).saturating_add(1));
            let credit = if *direction == Direction::Credit { CREDIT } else { 0 };
            let drawn = if line.is_drawn { DRAWN } else { 0 };
            let CellSum { calls, credits } = *sum;
            let (flags, credits) = (credit | drawn, credits.get());
            packed.cells.push(PackedCell { slot: *slot, name, key, lot, flags, calls, credits });
        }
        packed
    }

    fn rollup(&self) -> Option<Rollup> {
        let mut rollup = Rollup::default();
        for packed in &self.cells {
            let (operation, service) = self.names.get(usize::try_from(packed.name).ok()?)?.clone();
            let key = match packed.key.checked_sub(1) {
                Some(place) => Some(KeyId::from_bytes(*self.keys.get(usize::try_from(place).ok()?)?)),
                None => None,
            };
            let lot = match packed.lot.checked_sub(1) {
                Some(place) => Some(self.lots.get(usize::try_from(place).ok()?)?.lot()?),
                None => None,
            };
            let direction = if packed.flags & CREDIT == 0 { Direction::Debit } else { Direction::Credit };
            let line = RollupLine { operation, service, key, is_drawn: packed.flags & DRAWN != 0 };
            let credits = Credits::try_from(packed.credits).ok()?;
            let sum = CellSum { calls: packed.calls, credits };
            rollup.cells.insert(Cell { slot: packed.slot, line, lot, direction }, sum);
        }
        Some(rollup)
    }
}

/// The place of a value in a list, to which it is added if it is new.
fn place_of<T: PartialEq>(list: &mut Vec<T>, value: T) -> u32 {
    let place = list.iter().position(|known| *known == value).unwrap_or_else(|| {
        list.push(value);
        list.len().saturating_sub(1)
    });
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl PackedLot {
    fn of(RollupLot { lot, source }: RollupLot) -> Self {
        match lot {
            LotId::Subscription(month) => Self::Subscription(source, months(month)),
            LotId::Granted(id) => Self::Granted(source, id.bytes()),
            LotId::PostPaid => Self::PostPaid(source),
            LotId::Unlimited(month) => Self::Unlimited(source, months(month)),
            LotId::Disputed(id) => Self::Disputed(source, id.bytes()),
        }
    }

    fn lot(self) -> Option<RollupLot> {
        let (lot, source) = match self {
            Self::Subscription(source, month) => (LotId::Subscription(month_of(month)?), source),
            Self::Granted(source, id) => (LotId::Granted(EntryId::from_bytes(id)), source),
            Self::PostPaid(source) => (LotId::PostPaid, source),
            Self::Unlimited(source, month) => (LotId::Unlimited(month_of(month)?), source),
            Self::Disputed(source, id) => (LotId::Disputed(EntryId::from_bytes(id)), source),
        };
        Some(RollupLot { lot, source })
    }
}

/// The number of a month, counted from the year 0.
fn months(month: Period) -> u32 {
    let first = month.start();
    let year = u32::try_from(first.year()).unwrap_or_default();
    year.saturating_mul(12).saturating_add(first.month0())
}

fn month_of(number: u32) -> Option<Period> {
    let (year, month) = (number.checked_div(12)?, number.checked_rem(12)?.checked_add(1)?);
    let first = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, 1)?;
    Some(Period::of(DateTime::from_naive_utc_and_offset(first.into(), chrono::Utc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(slot: u8, operation: &str, lot: Option<LotId>) -> Cell {
        let lot = lot.map(|lot| RollupLot { lot, source: Source::Purchased });
        let operation = Operation::try_from(operation.to_owned()).unwrap();
        let line = RollupLine { operation, service: None, key: None, is_drawn: false };
        Cell { slot, line, lot, direction: Direction::Debit }
    }

    fn rollup() -> Rollup {
        let id = EntryId::from_bytes([7; 16]);
        let month = Period::try_from("2024-01".to_owned()).unwrap();
        let mut drawn = cell(4, "aml.pep", Some(LotId::Granted(id)));
        drawn.line.is_drawn = true;
        drawn.line.service = Some(Service::Biometric);
        drawn.line.key = Some(KeyId::from_bytes([9; 16]));
        drawn.direction = Direction::Credit;
        let cells = [
            cell(0, "ledger.fence", None),
            cell(1, "aml.pep", Some(LotId::Subscription(month))),
            cell(2, "aml.pep", Some(LotId::Unlimited(month))),
            cell(3, "aml.pep", Some(LotId::PostPaid)),
            cell(3, "aml.pep", Some(LotId::Disputed(id))),
            drawn,
        ];
        let sums = (1..).map(|calls| CellSum { calls, credits: Credits::try_from(calls).unwrap() });
        Rollup { cells: cells.into_iter().zip(sums).collect() }
    }

    #[test]
    fn a_rollup_reads_as_it_was_written() {
        let item = StoredItem::from([("sums".to_owned(), pack(&rollup()).unwrap())]);
        assert_eq!(unpack(&item, "sums").unwrap(), rollup());
        assert!(unpack(&item, "other").is_err());
        let pending =
            PendingRollup { after: 300, last: 320, day: "2024-02-29".parse().unwrap(), rollup: rollup() };
        let AttributeValue::B(bytes) = pack_pending(&pending).unwrap() else { panic!("no bytes") };
        assert_eq!(unpack_pending(&bytes), Some(pending));
        assert_eq!(unpack_pending(&Blob::new(b"what".to_vec())), None);
    }

    /// What the format and the lengths of the four lists take.
    const LISTS: usize = 5;

    /// The watermark has room for as many bytes as the rules allow, so their estimate must not be too low.
    #[test]
    fn a_rollup_takes_no_more_bytes_than_estimated() {
        let AttributeValue::B(bytes) = pack(&rollup()).unwrap() else { panic!("no bytes") };
        let estimate = rollup().bytes().saturating_add(LISTS);
        assert!(bytes.as_ref().len() <= estimate, "{}", bytes.as_ref().len());
    }
}
