//! The last sheet of a spreadsheet: what its rows are, and their sums.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use rust_xlsxwriter::{Format, Worksheet, XlsxError};

use super::export::Export;
use super::totals::Totals;
use super::xlsx::{exact, printable};

/// Widths of the columns of labels and values, in characters.
const WIDTHS: (u8, u8) = (28, 44);

/// Writes the sheet, line by line.
struct AboutSheet<'a> {
    sheet: &'a mut Worksheet,
    label: Format,
    row: u32,
}

pub(super) fn write(sheet: &mut Worksheet, export: &Export, totals: &Totals) -> Result<(), XlsxError> {
    sheet.set_name("About")?.set_column_width(0, WIDTHS.0)?.set_column_width(1, WIDTHS.1)?;
    let mut about = AboutSheet { sheet, label: Format::new().set_bold(), row: 0 };
    about.text("Organisation", &export.organisation)?;
    about.time("From (UTC)", export.from)?;
    about.time("Until (UTC)", export.until)?;
    for filter in &export.filters {
        about.text(&filter.label, &filter.value)?;
    }
    about.time("Made at (UTC)", Some(export.made_at))?;
    about.row = about.row.saturating_add(1);
    about.number("Transactions", totals.transactions.into(), "#,##0")?;
    for (name, sum) in totals.sums() {
        // Beyond what a decimal can hold, which no ledger reaches.
        let sum = Decimal::try_from_i128_with_scale(sum, 0).unwrap_or(Decimal::MAX);
        about.number(name, sum, "#,##0")?;
    }
    for (currency, sum) in &totals.paid {
        about.number(&format!("Sum of price, {currency}"), *sum, "#,##0.00")?;
    }
    Ok(())
}

impl AboutSheet<'_> {
    /// Writes the next line's label, and returns the line.
    fn next(&mut self, label: &str) -> Result<u32, XlsxError> {
        let row = self.row;
        self.row = row.saturating_add(1);
        self.sheet.write_string_with_format(row, 0, printable(label), &self.label)?;
        Ok(row)
    }

    fn text(&mut self, label: &str, value: &str) -> Result<(), XlsxError> {
        let row = self.next(label)?;
        self.sheet.write_string(row, 1, printable(value))?;
        Ok(())
    }

    /// A time; a range without this end has none.
    fn time(&mut self, label: &str, value: Option<DateTime<Utc>>) -> Result<(), XlsxError> {
        let Some(value) = value else { return Ok(()) };
        let row = self.next(label)?;
        let format =
            Format::new().set_num_format("yyyy-mm-dd hh:mm:ss").set_align(rust_xlsxwriter::FormatAlign::Left);
        self.sheet.write_datetime_with_format(row, 1, value.naive_utc(), &format)?;
        Ok(())
    }

    fn number(&mut self, label: &str, value: Decimal, format: &str) -> Result<(), XlsxError> {
        let row = self.next(label)?;
        let format = Format::new().set_num_format(format).set_align(rust_xlsxwriter::FormatAlign::Left);
        match exact(value) {
            Some(number) => self.sheet.write_number_with_format(row, 1, number, &format)?,
            None => self.sheet.write_string(row, 1, value.to_string())?,
        };
        Ok(())
    }
}
