//! What a file of transactions says about itself, and its format.

use chrono::{DateTime, Utc};

use crate::document::Fact;

/// What a file of transactions says about itself. CSV and JSON Lines have rows only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The organisation.
    pub organisation: String,
    /// The beginning of the range, if it has one.
    pub from: Option<DateTime<Utc>>,
    /// The end of the range, if it has one.
    pub until: Option<DateTime<Utc>>,
    /// Which transactions of the range are in the file, besides all.
    pub filters: Vec<Fact>,
    /// When the file is made.
    pub made_at: DateTime<Utc>,
    /// Whether a CSV file begins with a byte order mark. Excel reads a CSV file without it in the character set of the
    /// reader's country; other programs may read the mark as a part of the first column's name.
    pub byte_order_mark: bool,
}

/// The format of a file of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma-separated values, RFC 4180.
    Csv,
    /// JSON Lines.
    JsonLines,
    /// A spreadsheet of Excel 2007 and later.
    Xlsx,
    /// PDF, for people.
    Pdf,
}

impl FileFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Csv, Self::JsonLines, Self::Xlsx, Self::Pdf];

    /// The end of its files' names, without the dot.
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
}
