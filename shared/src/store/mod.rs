//! Where credits are kept: two DynamoDB tables. The only room that names the database.
//!
//! [`Ledger`] has the money: accounts, claims, and the rows of the ledger. [`Settings`] has the
//! rest: organisations, keys, prices, plans.

mod agenda;
mod catalogue;
mod claim;
mod connection;
mod doubt;
mod expression;
mod fault;
mod hints;
mod item;
mod key;
mod ledger;
mod post;
mod project;
mod purchases;
mod settings;
mod settle;
mod statement;

pub use agenda::{Errand, Noted};
pub use catalogue::{Catalogue, Part, Unchanged};
pub use claim::{ClaimsOf, Made};
pub use connection::Connection;
pub use fault::Fault;
pub use ledger::{Ledger, Moment};
pub use project::{Image, Projected, account_image};
pub use settings::{Known, Organisation, Settings};
pub use settle::random;
pub use settle::{IN_PROGRESS_SECONDS, Settled, Unsettled};
pub use statement::{Cursor, Page, Query};
