//! The local machine: all functions behind one port, on an embedded DynamoDB. The routers, the store and the rules are
//! those that Lambda runs; `emulation` replaces the AWS services around them.
//!
//! Dependencies point only downwards: machine -> routes -> state -> files, inbox; machine -> first_start -> showcase ->
//! assembly -> payments -> emulation -> folder -> engine.
//! `ops`, the operator's commands, uses `emulation` and `engine`.

mod assembly;
mod capacity;
mod catalogue;
mod clock;
mod database;
mod demo;
mod directory;
mod emulation;
pub mod engine;
mod error;
mod files;
mod first_start;
mod folder;
mod inbox;
mod machine;
mod ops;
mod options;
mod payments;
mod routes;
mod scale;
mod showcase;
mod state;
mod tables;
mod visitors;

pub use assembly::{functions, routers};
pub use catalogue::catalogue;
pub use clock::LocalClock;
pub use demo::{DemoKeys, OrganisationKeys, operator_key};
pub use emulation::StreamReader;
pub use machine::LocalMachine;
pub use ops::{
    ImportArguments, ImportOrder, PROJECTION, QueueAddress, RollupOrder, RollupTables, audit,
    catch_up_accounts, import, index_records, ledger_in, queues, rebuild_rollups, redrive,
    reprocess_failures, rollup_tables_in, streams,
};
pub use options::{DataLocation, Options, Seed};
pub use scale::ShowcaseScale;
pub use tables::{
    ACTIVITY_TABLE, LEDGER_TABLE, SETTINGS_TABLE, Tables, create as create_tables,
    create_keeping_all as create_tables_keeping_all,
};
