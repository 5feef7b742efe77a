//! Whether the tables say what the pure rules say, on every DynamoDB that is available.

mod calendar;
mod jobs;
pub(crate) mod ledger;
mod lots;
mod records;
mod row_shards;
pub(crate) mod schedule;
mod usage;
