//! The app of a function: the tables, the clock, and the capabilities that its `main.rs` adds. The only crate that
//! reads environment variables.

mod app;
#[cfg(any(feature = "event-bus", feature = "files", feature = "kms", feature = "queues"))]
mod clients;
mod closed_months;
mod cursor;
#[cfg(feature = "dispatch")]
mod dispatch;
mod environment;
#[cfg(feature = "exports")]
mod exports;
#[cfg(feature = "jobs")]
mod jobs;
mod log;
mod lots;
#[cfg(feature = "payments")]
mod payments;
#[cfg(feature = "projection")]
mod projection;
mod usage_cost;
#[cfg(feature = "webhooks")]
mod webhooks;

pub use crate::app::App;
pub use cursor::{CursorError, CursorKey, Listing, WeakKey};
pub use environment::{MissingVariable, connection};
pub use log::start_log;
pub use lots::{PricedLot, PricedLots, lot_page};
#[cfg(feature = "payments")]
pub use payments::stripe;
pub use ports::{Clock, SystemClock};
pub use usage_cost::{PricedUsage, price_usage, priced_lots};

/// The error of a function that cannot start or continue.
pub type Fatal = lambda_runtime::Error;
