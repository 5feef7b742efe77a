//! Accounts whose own item is unreadable: inspecting, freezing and rebuilding them.

pub(crate) mod index_records;
pub(crate) mod inspect;
pub(crate) mod rebuild;
pub(crate) mod rebuilt_item;
pub(crate) mod rows;
pub(crate) mod skipped;
