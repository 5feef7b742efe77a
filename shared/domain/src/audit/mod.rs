//! The hash chain of a ledger, and the checks of an audit.

mod chain;
mod finding;
mod rebuild;
mod sums;

pub use chain::{Checkpoint, FullBlock, Growth, Hash, Link, RowText, Span, Tip};
pub use finding::{ChainCheck, Finding, Problem};
pub use rebuild::{RowFacts, Totals, repaired};
pub use sums::Sums;
