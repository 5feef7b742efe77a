//! Transactions as files: CSV, JSON Lines, XLSX and PDF, all with the same columns.
//!
//! Cells of a CSV file that a spreadsheet program could take for a formula begin with an apostrophe, see [`unguarded`].

mod about;
mod cell;
mod column;
mod csv;
mod export;
mod file;
mod guard;
mod json_lines;
mod pdf;
#[cfg(test)]
mod tests;
mod totals;
mod xlsx;

pub use column::{COLUMNS, Column};
pub use export::{Export, FileFormat};
pub use file::{FinishedFile, TransactionFile};
pub use guard::unguarded;
pub use pdf::PDF_ROWS_MAX;
pub use totals::Totals;
