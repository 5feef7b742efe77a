//! The local machine: all functions behind one port, on an embedded DynamoDB. The routers, the store and the rules are
//! those that Lambda runs; `emulation` replaces the AWS services around them.
//!
//! Dependencies point only downwards: machine -> routes -> state -> files, inbox, payments -> emulation -> folder -> engine.
//! `ops`, the operator's commands, uses `emulation` and `engine`.

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
mod folder;
mod inbox;
mod machine;
mod ops;
mod options;
mod payments;
mod routes;
mod state;
mod tables;
mod visitors;

pub use catalogue::catalogue;
pub use clock::LocalClock;
pub use demo::{DemoKeys, operator_key};
pub use emulation::StreamReader;
pub use machine::{LocalMachine, functions, routers};
pub use ops::{
    QueueAddress, audit, catch_up_accounts, ledger_in, queues, redrive, reprocess_failures, streams,
};
pub use options::{DataLocation, Options, Seed};
pub use tables::{
    ACTIVITY_TABLE, LEDGER_TABLE, SETTINGS_TABLE, Tables, create as create_tables,
    create_keeping_all as create_tables_keeping_all,
};
