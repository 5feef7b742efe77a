//! The value of a transaction in one column.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

/// The value of a transaction in one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    /// None.
    Empty,
    /// A whole number.
    Integer(i64),
    /// An exchange rate.
    Rate(Decimal),
    /// An amount of money in units of its currency (pounds, not pence), with the currency's number of decimals.
    Price(Decimal),
    /// A time.
    Time(DateTime<Utc>),
    /// A text: an id, a name, or what a caller gave.
    Text(Cow<'a, str>),
    /// Key and value pairs.
    Pairs(&'a BTreeMap<String, String>),
}

impl<'a> Cell<'a> {
    /// A text that is never absent.
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// A text that may be absent.
    pub(super) fn optional(text: Option<impl Into<Cow<'a, str>>>) -> Self {
        text.map_or(Self::Empty, Self::text)
    }

    /// An id or a number that has a text of its own.
    pub(super) fn shown(value: Option<impl ToString>) -> Self {
        Self::optional(value.map(|value| value.to_string()))
    }

    /// A number of credits, or a number of something else.
    pub(super) fn count(count: impl TryInto<i64>) -> Self {
        Self::Integer(count.try_into().unwrap_or(i64::MAX))
    }

    /// A number that may be absent.
    pub(super) fn counted(count: Option<impl TryInto<i64>>) -> Self {
        count.map_or(Self::Empty, Self::count)
    }
}

/// A time in UTC to the second, such as `2024-01-15T10:30:00Z`.
pub(super) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Key and value pairs as compact JSON; nothing if there are none.
pub(super) fn compact_json(pairs: &BTreeMap<String, String>) -> Result<String, serde_json::Error> {
    if pairs.is_empty() { Ok(String::new()) } else { serde_json::to_string(pairs) }
}

/// As JSON. A price is a string, so that no reader rounds it.
impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Empty => out.serialize_none(),
            Self::Integer(number) => out.serialize_i64(*number),
            Self::Rate(rate) => rust_decimal::serde::float::serialize(rate, out),
            Self::Price(price) => out.collect_str(price),
            Self::Time(at) => out.serialize_str(&timestamp(*at)),
            Self::Text(text) => out.serialize_str(text),
            Self::Pairs(pairs) => pairs.serialize(out),
        }
    }
}
