//! The formats of files of transactions.

use serde::{Deserialize, Serialize};

use crate::Export;

/// The format of a file of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileFormat {
    /// Comma-separated values, RFC 4180.
    #[serde(rename = "csv")]
    Csv,
    /// JSON Lines.
    #[serde(rename = "jsonl")]
    JsonLines,
    /// A spreadsheet of Excel 2007 and later.
    #[serde(rename = "xlsx")]
    Xlsx,
    /// PDF, for people.
    #[serde(rename = "pdf")]
    Pdf,
}

impl FileFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Csv, Self::JsonLines, Self::Xlsx, Self::Pdf];

    /// The most transactions of a PDF.
    pub const PDF_ROWS_MAX: u32 = 20_000;

    /// The most transactions of its files.
    #[must_use]
    pub fn rows_max(self) -> u64 {
        match self {
            Self::Pdf => Self::PDF_ROWS_MAX.into(),
            Self::Csv | Self::JsonLines | Self::Xlsx => Export::ROWS_MAX,
        }
    }

    /// The end of its files' names, without the dot. It is also its name in the API.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Xlsx => "xlsx",
            Self::Pdf => "pdf",
        }
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::JsonLines => "application/jsonl",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Pdf => "application/pdf",
        }
    }

    /// The operation of the price list that its files cost; `None` for a format that is free.
    #[must_use]
    pub fn operation(self) -> Option<&'static str> {
        match self {
            Self::Csv | Self::JsonLines => None,
            Self::Xlsx => Some("export.excel"),
            Self::Pdf => Some("export.pdf"),
        }
    }
}
