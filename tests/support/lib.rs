//! Support for tests: a local machine ([`World`]), a ledger in tables of its own ([`TestLedger`]), and doubles of
//! external services.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test whose world can't be made fails"
)]

mod backlog;
mod clock;
mod dice;
mod event_schema;
mod exports;
mod faults;
mod files;
mod histories;
#[expect(clippy::float_arithmetic, reason = "rates and units are fractions")]
mod hot;
mod hot_projector;
mod ledger;
#[expect(clippy::float_arithmetic, reason = "capacity units are fractions")]
mod limiter;
mod log;
mod organisation_file;
mod outage;
mod own_process;
mod process;
mod process_operator;
mod provider;
mod queues;
mod receiver;
mod records;
mod recovery;
mod request;
mod role;
mod rollups;
mod seal;
mod settings_table;
pub mod stripe_double;
#[expect(clippy::float_arithmetic, reason = "capacity units are fractions")]
mod units;
mod warm;
mod world;

pub use backlog::{Backlog, BacklogRun};
pub use clock::{ManualClock, SimulatedClock};
pub use dice::Dice;
pub use event_schema::{EVENT_SCHEMAS, assert_event, event_problems};
pub use exports::{FileSizes, NoPages, exporter, queued_export};
pub use faults::{Faults, WriteFault};
pub use files::StoredFiles;
pub use histories::{count, runs_in_turn, ways_in_turn};
pub use hot::{HotFigures, HotLoad, auto_recharge, simulate};
pub use ledger::{Keyed, TableItem, TestLedger, backends, keyed, moment, others, settle};
pub use limiter::{Limiter, Limits};
pub use log::AlarmLog;
pub use organisation_file::{OrganisationFile, hexadecimal};
pub use outage::{Outage, TableOutage};
pub use process::TestProcess;
pub use provider::{CallFault, FaultAt, FlakyProvider, Late, ProviderCall};
pub use queues::PublishedEvents;
pub use receiver::{ReceivedWebhook, Receiver};
pub use records::{RecordPageCost, project_all, record_page_cost, records_without_index};
pub use recovery::{RecoveryFigures, debits_of, debits_without_records, recover};
pub use request::ApiRequest;
pub use seal::PlainSeal;
pub use units::{UnitMeter, Units};
pub use warm::WarmProcess;
pub use world::{ApiAnswer, EVERY_SCOPE, Org, PATIENCE, World, client, line_of, send, unique};
