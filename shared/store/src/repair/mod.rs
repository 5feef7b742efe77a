//! Accounts whose own item is unreadable: inspecting, freezing and rebuilding them.

pub(crate) mod inspect;
pub(crate) mod rebuild;
pub(crate) mod rebuilt_item;
pub(crate) mod rows;
pub(crate) mod skipped;
