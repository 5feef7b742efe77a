//! A file of transactions that is written row by row.

use std::io::Write;
use std::path::Path;

use domain::Receipt;

use super::csv::CsvRows;
use super::export::{Export, FileFormat};
use super::json_lines::JsonLinesRows;
use super::pdf::PdfRows;
use super::totals::Totals;
use super::xlsx::XlsxRows;
use crate::error::DocumentError;

/// A file of transactions, to which any number of rows is added one by one. Its memory does not grow with their number:
/// CSV and JSON Lines go straight to `W`, the rows of a spreadsheet to a temporary file; a PDF has a limit.
pub struct TransactionFile<W: Write> {
    rows: Rows<W>,
    totals: Totals,
}

/// A finished file.
#[derive(Debug)]
pub struct FinishedFile<W> {
    /// Where it was written to.
    pub out: W,
    /// The sums of its transactions.
    pub totals: Totals,
}

enum Rows<W: Write> {
    Csv(Box<CsvRows<W>>),
    JsonLines(JsonLinesRows<W>),
    Xlsx(Box<XlsxRows<W>>),
    Pdf(Box<PdfRows<W>>),
}

impl<W: Write + Send> TransactionFile<W> {
    /// An empty file. `folder` is for the temporary file of a spreadsheet, which takes about 1.2 kB for each row. It
    /// has no name in the folder, and is gone when the file is finished or dropped.
    ///
    /// # Errors
    /// [`DocumentError`] if `out` or `folder` cannot be written to.
    pub fn new(format: FileFormat, export: Export, folder: &Path, out: W) -> Result<Self, DocumentError> {
        let rows = match format {
            FileFormat::Csv => Rows::Csv(Box::new(CsvRows::new(out, export.byte_order_mark)?)),
            FileFormat::JsonLines => Rows::JsonLines(JsonLinesRows::new(out)),
            FileFormat::Xlsx => Rows::Xlsx(Box::new(XlsxRows::new(export, folder, out)?)),
            FileFormat::Pdf => Rows::Pdf(Box::new(PdfRows::new(export, out))),
        };
        Ok(Self { rows, totals: Totals::default() })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`DocumentError`] if it cannot be written. The file is then useless.
    pub fn add(&mut self, receipt: &Receipt) -> Result<(), DocumentError> {
        self.totals.add(receipt);
        match &mut self.rows {
            Rows::Csv(rows) => rows.add(receipt),
            Rows::JsonLines(rows) => rows.add(receipt),
            Rows::Xlsx(rows) => rows.add(receipt),
            Rows::Pdf(rows) => rows.add(receipt),
        }
    }

    /// Writes what is left of the file.
    ///
    /// # Errors
    /// [`DocumentError`] if it cannot be written.
    pub fn finish(self) -> Result<FinishedFile<W>, DocumentError> {
        let Self { rows, totals } = self;
        let mut out = match rows {
            Rows::Csv(rows) => rows.finish()?,
            Rows::JsonLines(rows) => rows.finish()?,
            Rows::Xlsx(rows) => rows.finish(&totals)?,
            Rows::Pdf(rows) => rows.finish(&totals)?,
        };
        out.flush()?;
        Ok(FinishedFile { out, totals })
    }
}
