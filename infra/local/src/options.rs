//! The options of the local machine.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::ValueEnum;

/// How the local machine is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// Where the data is kept.
    pub data: DataLocation,
    /// What an empty database starts with.
    pub seed: Seed,
    /// The time at which the clock stands still; `None` keeps the clock of the data folder.
    pub now: Option<DateTime<Utc>>,
    /// The endpoint of a DynamoDB to use in place of the embedded one.
    pub endpoint: Option<String>,
}

/// Where the local machine keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataLocation {
    /// In a folder, where it survives a restart, whatever ended the process.
    Folder(PathBuf),
    /// In memory, until the process ends.
    Memory,
}

/// What an empty database starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Seed {
    /// The catalogue and one organisation with the balance of the API documentation's example.
    Demo,
    /// The catalogue and an operator's key.
    Empty,
}
