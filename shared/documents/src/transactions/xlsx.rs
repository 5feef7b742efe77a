//! Transactions as a spreadsheet. Each row goes to a temporary file as soon as the next one begins.

use std::borrow::Cow;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use chrono::{DateTime, Datelike, Utc};
use domain::Receipt;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use rust_xlsxwriter::{
    Color, DocProperties, Format, FormatAlign, FormatBorder, Workbook, Worksheet, XlsxError,
};

use super::about;
use super::cell::{Cell, compact_json, timestamp};
use super::column::{COLUMNS, Column, Kind};
use super::export::Export;
use super::totals::Totals;
use crate::error::DocumentError;

/// When a sheet is full.
#[derive(Clone, Copy, Debug)]
pub(super) struct SheetLimits {
    /// Its rows, without the header. Excel shows 1,048,576 rows.
    pub(super) rows: u32,
    /// The bytes of its texts. A sheet is a part of an archive, and such a part has less than 4 GiB. Besides the texts,
    /// of which a byte becomes five at most, it contains about 1.5 kB of marks and numbers for each row.
    pub(super) bytes: usize,
}

impl SheetLimits {
    const OF_EXCEL: Self = Self { rows: 1_048_575, bytes: 400 << 20 };
}

/// A spreadsheet to which rows are added. It keeps one row.
pub(super) struct XlsxRows<W> {
    workbook: Workbook,
    export: Export,
    limits: SheetLimits,
    sheet: SheetPosition,
    out: W,
}

/// The sheet that is being written, and how full it is.
#[derive(Clone, Copy, Debug, Default)]
struct SheetPosition {
    index: usize,
    rows: u32,
    bytes: usize,
}

impl<W: Write + Send> XlsxRows<W> {
    pub(super) fn new(export: Export, folder: &Path, out: W) -> Result<Self, DocumentError> {
        Self::limited(export, folder, out, SheetLimits::OF_EXCEL)
    }

    pub(super) fn limited(
        export: Export,
        folder: &Path,
        out: W,
        limits: SheetLimits,
    ) -> Result<Self, DocumentError> {
        let mut workbook = Workbook::new();
        contained(|| {
            workbook.set_tempdir(folder)?;
            workbook.set_properties(&properties(&export));
            begin(&mut workbook, 0)
        })?;
        Ok(Self { workbook, export, limits, sheet: SheetPosition::default(), out })
    }

    pub(super) fn add(&mut self, receipt: &Receipt) -> Result<(), DocumentError> {
        if self.sheet.rows >= self.limits.rows || self.sheet.bytes >= self.limits.bytes {
            self.next_sheet()?;
        }
        self.sheet.rows = self.sheet.rows.saturating_add(1);
        let SheetPosition { index, rows, .. } = self.sheet;
        let (workbook, bytes) = (&mut self.workbook, &mut self.sheet.bytes);
        contained(|| {
            let sheet = workbook.worksheet_from_index(index)?;
            for (place, column) in (0..).zip(&COLUMNS) {
                let value = column.of(receipt);
                *bytes = bytes.saturating_add(write(sheet, At { row: rows, column: place }, value)?);
            }
            Ok(())
        })
    }

    /// Ends the sheet and begins the next one.
    fn next_sheet(&mut self) -> Result<(), DocumentError> {
        let index = self.sheet.index.saturating_add(1);
        let (workbook, ended) = (&mut self.workbook, self.sheet);
        contained(|| {
            end(workbook, ended)?;
            begin(workbook, index)
        })?;
        self.sheet = SheetPosition { index, ..SheetPosition::default() };
        Ok(())
    }

    pub(super) fn finish(mut self, totals: &Totals) -> Result<W, DocumentError> {
        let (workbook, ended) = (&mut self.workbook, self.sheet);
        let (export, out) = (&self.export, &mut self.out);
        contained(|| {
            end(workbook, ended)?;
            about::write(workbook.add_worksheet(), export, totals)?;
            workbook.save_to_writer(out)
        })?;
        Ok(self.out)
    }
}

/// A row and a column of a sheet, from 0.
#[derive(Clone, Copy, Debug)]
struct At {
    row: u32,
    column: u16,
}

/// Calls the library, which panics when it cannot write its temporary file, for example because the disk is full.
fn contained<T>(work: impl FnOnce() -> Result<T, XlsxError>) -> Result<T, DocumentError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(DocumentError::from),
        Err(_) => Err(DocumentError::TemporaryFile),
    }
}

fn properties(export: &Export) -> DocProperties {
    let properties =
        DocProperties::new().set_title("Transactions").set_company(printable(&export.organisation));
    properties.set_creation_datetime(&export.made_at)
}

/// Adds a sheet for rows: its header, which stays when the rows are scrolled and is printed on each page.
fn begin(workbook: &mut Workbook, index: usize) -> Result<(), XlsxError> {
    let sheet = workbook.add_worksheet_with_constant_memory()?;
    let name = match index {
        0 => "Transactions".to_owned(),
        further => format!("Transactions {}", further.saturating_add(1)),
    };
    sheet.set_name(name)?.set_freeze_panes(1, 0)?.set_repeat_rows(0, 0)?;
    sheet.set_landscape().set_print_fit_to_pages(1, 0);
    for (place, column) in (0..).zip(&COLUMNS) {
        sheet.set_column_width(place, column.width)?.set_column_format(place, &format(column.kind))?;
        sheet.write_string_with_format(0, place, title(column), &header(column.kind))?;
    }
    Ok(())
}

/// Ends a sheet: its rows can be filtered.
fn end(workbook: &mut Workbook, sheet: SheetPosition) -> Result<(), XlsxError> {
    let last = u16::try_from(COLUMNS.len()).unwrap_or(u16::MAX).saturating_sub(1);
    workbook.worksheet_from_index(sheet.index)?.autofilter(0, 0, sheet.rows, last)?;
    Ok(())
}

/// The header of a column. Times in a spreadsheet have no time zone, so the header names it.
fn title(column: &Column) -> String {
    if column.kind == Kind::Time { format!("{} (UTC)", column.name) } else { column.name.to_owned() }
}

fn header(kind: Kind) -> Format {
    let format = Format::new().set_bold().set_border_bottom(FormatBorder::Thin);
    let format = format.set_background_color(Color::RGB(0x00E8_EEF1));
    if kind == Kind::Text { format } else { format.set_align(FormatAlign::Right) }
}

/// The format of a column. A cell in text format stays text when a reader edits it.
fn format(kind: Kind) -> Format {
    Format::new().set_num_format(match kind {
        Kind::Number => "0",
        Kind::Credits => "#,##0",
        Kind::Change => "+#,##0;-#,##0;0",
        Kind::Price => "#,##0.00",
        Kind::Rate => "0.000000",
        Kind::Time => "yyyy-mm-dd hh:mm:ss",
        Kind::Text => "@",
    })
}

/// Writes a cell, and returns the bytes of its text.
fn write(sheet: &mut Worksheet, at: At, value: Cell<'_>) -> Result<usize, XlsxError> {
    match value {
        Cell::Empty => Ok(0),
        Cell::Integer(number) => write_number(sheet, at, number.into()),
        Cell::Rate(rate) => write_number(sheet, at, rate),
        Cell::Price(price) => {
            write_number(sheet, at, price)?;
            if price.scale() != PRICE_DECIMALS {
                let format = Format::new().set_num_format(price_format(price.scale()));
                sheet.set_cell_format(at.row, at.column, &format)?;
            }
            Ok(0)
        }
        Cell::Time(time) => write_time(sheet, at, time),
        Cell::Text(text) => write_text(sheet, at, &text),
        Cell::Pairs(pairs) => {
            let text = compact_json(pairs).map_err(|error| XlsxError::CustomError(error.to_string()))?;
            write_text(sheet, at, &text)
        }
    }
}

fn write_text(sheet: &mut Worksheet, at: At, text: &str) -> Result<usize, XlsxError> {
    // Always a string, never a formula, whatever it begins with.
    sheet.write_string(at.row, at.column, printable(text))?;
    Ok(text.len())
}

/// Writes a number; as text if a spreadsheet would round it.
fn write_number(sheet: &mut Worksheet, at: At, number: Decimal) -> Result<usize, XlsxError> {
    match exact(number) {
        Some(number) => sheet.write_number(at.row, at.column, number)?,
        None => sheet.write_string(at.row, at.column, number.to_string())?,
    };
    Ok(0)
}

/// Writes a time as Excel knows them, from 1900 to 9999; as text outside these years.
fn write_time(sheet: &mut Worksheet, at: At, time: DateTime<Utc>) -> Result<usize, XlsxError> {
    if (1900..=9999).contains(&time.year()) {
        sheet.write_datetime(at.row, at.column, time.naive_utc())?;
    } else {
        sheet.write_string(at.row, at.column, timestamp(time))?;
    }
    Ok(0)
}

/// The number as a spreadsheet keeps it, unless it needs more digits than that has.
pub(super) fn exact(number: Decimal) -> Option<f64> {
    let digits = number.mantissa().unsigned_abs();
    if digits <= u128::from(domain::Credits::MAX.get()) { number.to_f64() } else { None }
}

/// The number of decimals of most currencies, and of the format of the column.
const PRICE_DECIMALS: u32 = 2;

/// The format of a price with another number of decimals.
fn price_format(decimals: u32) -> String {
    let decimals = "0".repeat(usize::try_from(decimals).unwrap_or_default());
    if decimals.is_empty() { "#,##0".to_owned() } else { format!("#,##0.{decimals}") }
}

/// A text that XML can hold. Characters that it cannot hold are replaced.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let is_printable = |letter: char| match letter {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => !other.is_control(),
    };
    if text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let letters =
        text.chars().map(|letter| if is_printable(letter) { letter } else { char::REPLACEMENT_CHARACTER });
    Cow::Owned(letters.collect())
}
