//! Where credits are kept: three DynamoDB tables. The only room that names the database.
//!
//! [`Ledger`] has the money: accounts, claims, and the rows of the ledger. [`Settings`] has the
//! organisations, keys, prices, plans. [`Activity`] has what goes on around them: webhooks, deliveries, usage.

mod activity;
mod agenda;
mod alerts;
mod audit;
mod canonical;
mod catalogue;
mod chain;
mod claim;
mod connection;
mod directory;
mod doubt;
mod draw;
mod events;
mod excerpt;
mod expression;
mod fault;
mod foresee;
mod hints;
mod item;
mod key;
mod ledger;
mod monitors;
mod packed;
mod past;
mod plans;
mod post;
mod pots;
mod project;
mod purchases;
mod raw;
mod refunds;
mod seen;
mod settings;
mod settle;
mod statement;
mod test_clock;
mod usage;
mod webhooks;

pub use activity::Activity;
pub use agenda::{Errand, Noted, PotId};
pub use alerts::Change;
pub use audit::Report;
pub use catalogue::{Catalogue, Part, Unchanged};
pub use chain::Mark;
pub use claim::{ClaimsOf, Made, system_key};
pub use connection::Connection;
pub(crate) use connection::aws_client;
pub use directory::{Listed, Progress, SHARDS};
pub use draw::{Asking, Ended, Taken as DrawTaken, of_hold};
pub use events::event_image;
pub use excerpt::{Excerpt, ExcerptCursor, ExcerptRow, Place, Proof};
pub use fault::Fault;
pub use ledger::{Ledger, Moment};
pub use monitors::{MONITORS_AT_ONCE, Page as MonitorPage, Taken};
pub use plans::PlanSwitch;
pub use project::{Image, Projected, Rows, account_image};
pub use refunds::{Decides, Refund};
pub use seen::{ChargedOnce, Same};
pub use settings::{Known, Organisation, Settings};
pub use settle::random;
pub use settle::{IN_PROGRESS_SECONDS, Settled, Unsettled};
pub use statement::{Cursor, Page, Query};
pub use usage::{DayUsage, UsageOf};
