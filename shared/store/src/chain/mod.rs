//! The hash chain over the rows of an account: how it grows, excerpts of it, and its audit.

pub(crate) mod audit;
pub(crate) mod closed_month;
pub(crate) mod excerpt;
pub(crate) mod items;
pub(crate) mod project;
pub(crate) mod raw_rows;
pub(crate) mod record_blocks;
pub(crate) mod watermark;
