//! Times in the API's format.

use chrono::{DateTime, SecondsFormat, Utc};

/// A time in the API's format: UTC, in seconds, such as `2024-01-15T10:30:00Z`.
pub(crate) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
