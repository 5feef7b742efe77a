//! What the tests share: a local machine ([`World`]), a ledger in tables of its own ([`Books`]), and doubles of what
//! lies outside.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test whose world can't be made fails"
)]

mod dice;
mod event_schema;
mod faults;
mod ledger;
mod log;
mod process;
mod process_operator;
mod provider;
mod queues;
mod receiver;
pub mod stripe_double;
#[expect(clippy::float_arithmetic, reason = "capacity units are fractions")]
mod units;
mod world;

pub use dice::Dice;
pub use event_schema::{EVENT_SCHEMAS, assert_event, event_problems};
pub use faults::{Faults, Kind};
pub use ledger::{Books, Item, backends, moment, others, settle};
pub use log::AlarmLog;
pub use process::{Shop, count};
pub use provider::{Bank, BankFault, Fault};
pub use queues::Heard;
pub use receiver::{Received, Receiver};
pub use units::{UnitMeter, Units};
pub use world::{Answer, EVERY_SCOPE, Org, PATIENCE, World, client, line_of, send, unique};
