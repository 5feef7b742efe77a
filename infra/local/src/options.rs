//! The options of the local machine.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::scale::ShowcaseScale;

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
    /// Whether mails are sent: to `/_local/mail`.
    pub mail: bool,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// What [`Seed::Demo`] has, and an organisation with months of history.
    Showcase(ShowcaseScale),
    /// The catalogue and one organisation with the balance of the API documentation's example.
    Demo,
    /// The catalogue and an operator's key.
    Empty,
}

impl ValueEnum for Seed {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Showcase(ShowcaseScale::FULL), Self::Demo, Self::Empty]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Showcase(_) => PossibleValue::new("showcase")
                .help("The demo data, and an organisation with 90 days of history"),
            Self::Demo => PossibleValue::new("demo").help(
                "The catalogue and one organisation with the balance of the API documentation's example",
            ),
            Self::Empty => PossibleValue::new("empty").help("The catalogue and an operator's key"),
        })
    }
}

impl Seed {
    /// The scale of the history that an empty database starts with.
    pub(crate) fn showcase(self) -> Option<ShowcaseScale> {
        match self {
            Self::Showcase(scale) => Some(scale),
            Self::Demo | Self::Empty => None,
        }
    }
}
