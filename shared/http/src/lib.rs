//! How callers reach the ledger: HTTP in, HTTP out. The only room that names a status code, an
//! environment variable or the clock.

mod answer;
mod app;
mod body;
mod call;
mod caller;
mod cursor;
mod docs;
mod error;
mod etag;
mod goods;
pub mod instant;
mod intent;
mod log;
mod once;
mod params;
mod plain;
mod queries;
mod refused;
mod serve;
mod shape;

pub use answer::{Reply, finish};
pub use app::{App, NotConfigured, connection, stripe};
pub use body::{BATCH_BYTES_MAX, BODY_BYTES_MAX, Distinct, Either, Payload};
pub use call::Call;
pub use caller::{Caller, Needs, Operator, may};
pub use cursor::{CursorKey, Listing, WeakKey};
pub use docs::describe;
pub use error::ApiError;
pub use etag::IfMatch;
pub use goods::{ExchangeRate, Money, NextPrice, OperationPrice, Package, PackageOnSale, Plan};
pub use instant::Instant;
pub use intent::{Brief, Intent, Setting};
pub use once::{NoFields, Once, OnceOptional, Unstarted};
pub use params::Params;
pub use ports::{Clock, System};
pub use queries::in_order;
pub use refused::Refused;
pub use serve::{Fatal, serve, start};
pub use shape::{
    AsOf, Audit, AuditCheckpoint, AuditProblem, AuditRow, AuditTip, Balance, BatchItem, Booked, Expiring,
    NextAction, PlanShift, PostPaid, Proof, RefundMade, SourceShare, Transaction,
};
