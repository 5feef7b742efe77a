//! Transactions as CSV (RFC 4180): UTF-8, a header line, lines that end in CR LF.

use std::borrow::Cow;
use std::io::Write;

use csv::{Terminator, Writer, WriterBuilder};
use domain::Receipt;

use super::cell::{Cell, compact_json, timestamp};
use super::column::COLUMNS;
use super::guard::guarded;
use crate::error::DocumentError;

/// What Excel recognises UTF-8 by.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A CSV file to which rows are added. It keeps no row.
pub(super) struct CsvRows<W: Write> {
    out: Writer<W>,
}

impl<W: Write> CsvRows<W> {
    /// A file with its header line.
    pub(super) fn new(mut out: W, byte_order_mark: bool) -> Result<Self, DocumentError> {
        if byte_order_mark {
            out.write_all(BYTE_ORDER_MARK)?;
        }
        let mut out = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
        out.write_record(COLUMNS.iter().map(|column| column.name))?;
        Ok(Self { out })
    }

    pub(super) fn add(&mut self, receipt: &Receipt) -> Result<(), DocumentError> {
        for column in &COLUMNS {
            self.out.write_field(field(&column.of(receipt))?.as_bytes())?;
        }
        self.out.write_record(None::<&[u8]>)?;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<W, DocumentError> {
        self.out.into_inner().map_err(|error| DocumentError::Write(error.into_error()))
    }
}

/// The text of a cell. Numbers and times are the ledger's own and stay as they are.
fn field<'a>(cell: &'a Cell<'_>) -> Result<Cow<'a, str>, DocumentError> {
    Ok(match cell {
        Cell::Empty => Cow::Borrowed(""),
        Cell::Integer(number) => Cow::Owned(number.to_string()),
        Cell::Rate(number) | Cell::Price(number) => Cow::Owned(number.to_string()),
        Cell::Time(at) => Cow::Owned(timestamp(*at)),
        Cell::Text(text) => guarded(text),
        Cell::Pairs(pairs) => Cow::Owned(guarded(&compact_json(pairs)?).into_owned()),
    })
}
