//! Documents: writes ledger data as files. Transactions become CSV, JSON Lines, XLSX or PDF; statements become PDF.
//! This crate knows no table, no HTTP and no clock: receipts and times are arguments.
//!
//! Each folder uses only those before it: `error`, `document`, `text`, `layout`, `pdf`, `transactions`. A test checks
//! this.

mod document;
mod error;
mod layout;
mod pdf;
mod text;
mod transactions;

pub use document::{Align, Document, Fact, Footer, Section, Table, TableCell, TableColumn};
pub use error::DocumentError;
pub use pdf::render_pdf;
pub use text::{grouped, signed};
pub use transactions::{COLUMNS, Column, PDF_ROWS_MAX, Totals, unguarded};
pub use transactions::{Export, FileFormat, FinishedFile, TransactionFile};
