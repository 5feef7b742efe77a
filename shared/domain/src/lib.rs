//! The rules of credit. Pure: no clock, no network, no database; every input is an argument.
//!
//! Each folder uses only those before it: `value`, `ledger`, `catalogue`, `operation`, `payment`, `usage`, `budget`, `access`,
//! `event`, `forecast`, `webhook`, `record`, `export`, `audit`. A test checks this.

mod access;
mod audit;
mod budget;
mod catalogue;
mod event;
mod export;
mod forecast;
mod ledger;
mod operation;
mod payment;
mod record;
#[cfg(test)]
mod tests;
mod usage;
mod value;
mod webhook;

pub use access::*;
pub use audit::*;
pub use budget::*;
pub use catalogue::*;
pub use event::*;
pub use export::*;
pub use forecast::*;
pub use ledger::*;
pub use operation::*;
pub use payment::*;
pub use record::*;
pub use usage::*;
pub use value::*;
pub use webhook::*;
