//! The local machine: every function behind one port, on an embedded DynamoDB, with the table's
//! stream running. The same routers, store and rules that Lambda runs; what AWS does around them is
//! done here.

mod audit;
mod capacity;
mod catalogue;
mod clock;
mod deliveries;
mod demo;
mod duties;
pub mod engine;
mod folder;
mod follower;
mod journal;
mod lane;
mod machine;
mod options;
mod payments;
mod quiet;
mod routes;
mod schedule;
mod tables;
mod tasks;
mod wakes;

pub use audit::{audit, ledger_in};
pub use catalogue::catalogue;
pub use clock::LocalClock;
pub use demo::{Keys, operator_key};
pub use follower::Follower;
pub use machine::{Machine, functions};
pub use options::{Data, Options, Seed};
pub use tables::{LEDGER_TABLE, SETTINGS_TABLE, create as create_tables};
