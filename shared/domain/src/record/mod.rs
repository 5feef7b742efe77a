//! Credit records: the transactions that grant or use credits, and the index that finds a page of them.

mod block;
mod kind;

pub use block::{RecordBlock, RecordCounts};
pub use kind::{RecordFilter, RecordKind};
