//! Attributes of an item: how they are made and how they are read.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use crate::table::key::StoredItem;

/// A number.
pub(crate) fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A text.
pub(crate) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// Milliseconds since 1970.
pub(crate) fn millis(at: DateTime<Utc>) -> AttributeValue {
    AttributeValue::N(at.timestamp_millis().to_string())
}

/// A number of an item; `None` when it is missing or unreadable.
pub(crate) fn number_of(item: &StoredItem, name: &str) -> Option<u64> {
    match item.get(name) {
        Some(AttributeValue::N(digits)) => digits.parse().ok(),
        Some(_) | None => None,
    }
}

/// A time of an item in milliseconds since 1970; `None` when it is missing or unreadable.
pub(crate) fn millis_of(item: &StoredItem, name: &str) -> Option<DateTime<Utc>> {
    match item.get(name) {
        Some(AttributeValue::N(millis)) => DateTime::from_timestamp_millis(millis.parse().ok()?),
        Some(_) | None => None,
    }
}

/// A text of an item; `None` when it is missing or no text.
pub(crate) fn text_of<'a>(item: &'a StoredItem, name: &str) -> Option<&'a str> {
    match item.get(name) {
        Some(AttributeValue::S(text)) => Some(text),
        Some(_) | None => None,
    }
}

/// The sort key of an item; `None` when it is missing or no text.
pub(crate) fn sort_key(item: &StoredItem) -> Option<&str> {
    text_of(item, "sk")
}
