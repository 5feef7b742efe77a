//! The operator's commands: `scrip audit`, `scrip follow`, `scrip import`, `scrip index-records`, `scrip redrive` and
//! `scrip rollups`.

mod audit;
mod catch_up;
mod deployment;
mod import;
mod index_records;
mod redrive;
mod rollups;

pub use audit::{audit, ledger_in};
pub use catch_up::{QueueAddress, catch_up_accounts, reprocess_failures};
pub use deployment::{queues, streams};
pub use import::{ImportArguments, ImportOrder, import};
pub use index_records::index_records;
pub use redrive::redrive;
pub use rollups::{PROJECTION, RollupOrder, RollupTables, rebuild_rollups, rollup_tables_in};
