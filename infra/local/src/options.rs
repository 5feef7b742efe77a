use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::ValueEnum;

/// How the local machine is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// Where the data is.
    pub data: Data,
    /// What an empty database begins with.
    pub seed: Seed,
    /// The time at which the clock stands still; `None` lets it go as it went before.
    pub now: Option<DateTime<Utc>>,
    /// Another DynamoDB than the embedded one.
    pub endpoint: Option<String>,
}

/// Where the local machine keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// In a folder: it is there again after a restart, whatever ended the process.
    Folder(PathBuf),
    /// Nowhere: gone with the process.
    Memory,
}

/// What an empty database begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Seed {
    /// The catalogue and one organisation with the balance of the seed's own example.
    Demo,
    /// The catalogue and an operator's key.
    Empty,
}
