//! Documents: writes ledger data as files. Statements become PDF. This crate knows no table, no HTTP and no clock: times
//! are arguments.
//!
//! Each folder uses only those before it: `error`, `document`, `text`, `layout`, `pdf`. A test checks this.

mod document;
mod error;
mod layout;
mod pdf;
mod text;

pub use document::{Align, Document, Fact, Footer, Section, Table, TableCell, TableColumn};
pub use error::DocumentError;
pub use pdf::render_pdf;
