//! Timestamps as callers see and send them: RFC 3339, whole seconds, `Z`.

use chrono::{DateTime, Datelike, SecondsFormat, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// The years that a caller may name. RFC 3339 has four digits for a year.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=9999;

/// A time that a caller sent, in whole seconds: a fraction is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub DateTime<Utc>);

/// The text of a time.
#[must_use]
pub fn text(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Writes a timestamp, for `#[serde(with = "timestamp")]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(at: &DateTime<Utc>, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&text(at))
}

/// Writes a timestamp or `null`, for `#[serde(serialize_with = "timestamp::optional")]`.
///
/// # Errors
/// Those of the serializer.
pub fn optional<S: Serializer>(at: &Option<DateTime<Utc>>, out: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serialize(at, out),
        None => out.serialize_none(),
    }
}

/// Writes a timestamp rounded up to a second, or `null`: a caller who waits for it is not too early.
///
/// # Errors
/// Those of the serializer.
pub fn rounded_up<S: Serializer>(at: &Option<DateTime<Utc>>, out: S) -> Result<S::Ok, S::Error> {
    let up = |at: DateTime<Utc>| {
        let second = at.trunc_subsecs(0);
        if second == at { at } else { second.checked_add_signed(TimeDelta::seconds(1)).unwrap_or(at) }
    };
    optional(&at.map(up), out)
}

impl Instant {
    /// Reads a time of the years 2000 to 9999.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let at: DateTime<Utc> = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
        YEARS.contains(&at.year()).then(|| Self(at.trunc_subsecs(0)))
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        Self::read(&text).ok_or_else(|| {
            D::Error::custom("must be a time such as 2024-01-15T10:30:00Z, of the years 2000 to 9999 (in a query, write + as %2B)")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_of_four_digit_years() {
        let read = |sent: &str| Instant::read(sent).map(|Instant(at)| text(&at));
        assert_eq!(read("2024-01-15T10:30:00Z").as_deref(), Some("2024-01-15T10:30:00Z"));
        assert_eq!(read("2024-01-15T10:30:00.999+02:00").as_deref(), Some("2024-01-15T08:30:00Z"));
        assert_eq!(read("9999-12-31T23:59:59Z").as_deref(), Some("9999-12-31T23:59:59Z"));
        for wrong in [
            "+10000-01-01T00:00:00Z",
            "1999-12-31T23:59:59Z",
            "2024-01-15",
            "2024-13-01T00:00:00Z",
            "now",
            "",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
