//! What a file of transactions says about itself.

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
