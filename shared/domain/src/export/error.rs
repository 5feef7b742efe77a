//! Why an export has failed.

use serde::{Deserialize, Serialize};

use super::record::Export;

/// Why an export has failed. The credits that were held for it are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum ExportError {
    /// The credits were gone before they could be held: the request was interrupted.
    #[error("the credits that this export costs were not available any more; nothing was charged")]
    InsufficientCredits,
    /// A PDF has more transactions than one may have.
    #[error(
        "a PDF has at most {max} transactions; choose a shorter range, or csv, jsonl or xlsx, which may have \
         {rows_max}", rows_max = Export::ROWS_MAX
    )]
    TooManyRows {
        /// The most transactions of a PDF.
        max: u32,
    },
    /// More transactions than an export may have, or than can be read in its time.
    #[error(
        "there are more transactions than one export can have ({max} at most, and as many as are read in 14 minutes); \
         choose shorter ranges", max = Export::ROWS_MAX
    )]
    TooLarge,
    /// More lines of an organisation than a file may have, or than can be read in its time.
    #[error(
        "the organisation has more than one file can have ({max} lines at most, and as many as are read in 14 minutes)",
        max = Export::ROWS_MAX
    )]
    OrganisationTooLarge,
    /// Every attempt to make the file was interrupted.
    #[error("the file could not be made in {max} attempts; ask for it again", max = Export::ATTEMPTS_MAX)]
    NotMade,
    /// The file was made, and the held credits could not be charged.
    #[error(
        "the credits that were held for this export could not be charged: the hold was closed, or the organisation is \
         frozen; ask for it again"
    )]
    NotCharged,
}

impl ExportError {
    /// Its code in the API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InsufficientCredits => "INSUFFICIENT_CREDITS",
            Self::TooManyRows { .. } => "TOO_MANY_TRANSACTIONS",
            Self::TooLarge | Self::OrganisationTooLarge => "EXPORT_TOO_LARGE",
            Self::NotMade => "EXPORT_NOT_MADE",
            Self::NotCharged => "EXPORT_NOT_CHARGED",
        }
    }
}
