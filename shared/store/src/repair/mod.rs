//! Accounts whose own item is unreadable: inspecting, freezing and rebuilding them. Rollups and records of lots that
//! are wrong: rebuilding them.

pub(crate) mod index_records;
pub(crate) mod inspect;
mod lot_compare;
pub(crate) mod rebuild;
pub(crate) mod rebuilt_item;
mod rollup_compare;
pub(crate) mod rollup_report;
mod rollup_sums;
pub(crate) mod rollups;
pub(crate) mod rows;
pub(crate) mod skipped;
