//! The local machine: every function behind one port, on an embedded DynamoDB, with the table's
//! stream running. The same routers, store and rules that Lambda runs; what AWS does around them is
//! done here.

mod audit;
mod capacity;
mod catalogue;
mod clock;
mod couriers;
mod deliveries;
mod demo;
mod deployment;
mod directory;
mod duties;
pub mod engine;
mod folder;
mod follow;
mod follower;
mod inbox;
mod inbox_page;
mod journal;
mod lane;
mod machine;
mod options;
mod payments;
mod quiet;
mod redrive;
mod routes;
mod schedule;
mod seal;
mod tables;
mod tasks;
mod visitors;
mod wakes;

pub use audit::{audit, ledger_in};
pub use catalogue::catalogue;
pub use clock::LocalClock;
pub use demo::{Keys, operator_key};
pub use deployment::{queues, streams};
pub use follow::{follow_accounts, follow_failures};
pub use follower::Follower;
pub use machine::{Machine, functions};
pub use options::{Data, Options, Seed};
pub use redrive::redrive;
pub use tables::{
    ACTIVITY_TABLE, LEDGER_TABLE, SETTINGS_TABLE, Tables, create as create_tables,
    create_keeping_all as create_tables_keeping_all,
};
