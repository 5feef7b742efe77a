//! The canonical text of an item, which the hash chain is computed from.

use std::collections::BTreeMap;
use std::fmt::Write;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::table::key::StoredItem;

/// The canonical text of an item: JSON without spaces, of every attribute except the key, with names in the order of
/// their bytes. Numbers keep the digits that the table has. A type that JSON lacks becomes an object with one name that
/// begins with `$`; the item's own names that begin with `$` get another `$` in front. So two items have the same text
/// only if they are equal.
///
/// The key is left out: the chain holds the row's id, which gives its place.
pub(crate) fn text(item: &StoredItem) -> String {
    let mut text = String::new();
    let attributes = item.iter().filter(|(name, _)| !["pk", "sk"].contains(&name.as_str()));
    write_map(attributes, &mut text);
    text
}

fn write_map<'a>(attributes: impl Iterator<Item = (&'a String, &'a AttributeValue)>, text: &mut String) {
    let sorted: BTreeMap<_, _> = attributes.collect();
    let members = sorted.into_iter().map(|(name, value)| {
        let dollar = if name.starts_with('$') { "$" } else { "" };
        (format!("{dollar}{name}"), value)
    });
    write_all('{', '}', members, text, |(name, value), text| {
        write_string(&name, text);
        text.push(':');
        write_value(value, text);
    });
}

#[expect(clippy::wildcard_enum_match_arm, reason = "DynamoDB may get more types, and the SDK says so")]
fn write_value(value: &AttributeValue, text: &mut String) {
    match value {
        AttributeValue::S(string) => write_string(string, text),
        AttributeValue::N(number) if is_json(number) => text.push_str(number),
        AttributeValue::N(number) => tagged("$N", text, |text| write_string(number, text)),
        AttributeValue::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        AttributeValue::Null(true) => text.push_str("null"),
        AttributeValue::Null(false) => tagged("$NULL", text, |text| text.push_str("false")),
        AttributeValue::L(values) => write_all('[', ']', values, text, write_value),
        AttributeValue::M(attributes) => write_map(attributes.iter(), text),
        AttributeValue::B(bytes) => {
            tagged("$B", text, |text| write_string(&STANDARD.encode(bytes.as_ref()), text));
        }
        AttributeValue::Bs(set) => {
            let set = set.iter().map(|bytes| STANDARD.encode(bytes.as_ref()));
            tagged("$BS", text, |text| write_set(set, text));
        }
        AttributeValue::Ns(set) => tagged("$NS", text, |text| write_set(set.iter().cloned(), text)),
        AttributeValue::Ss(set) => tagged("$SS", text, |text| write_set(set.iter().cloned(), text)),
        // A type that DynamoDB adds later: marked, so that it is never equal to a known one.
        other => tagged("$UNKNOWN", text, |text| write_string(&format!("{other:?}"), text)),
    }
}

fn tagged(tag: &str, text: &mut String, value: impl FnOnce(&mut String)) {
    text.push('{');
    write_string(tag, text);
    text.push(':');
    value(text);
    text.push('}');
}

/// Sorted, because a set has no order.
fn write_set(set: impl Iterator<Item = String>, text: &mut String) {
    let mut sorted: Vec<_> = set.collect();
    sorted.sort();
    write_all('[', ']', sorted, text, |member, text| write_string(&member, text));
}

fn write_all<T>(
    open: char,
    close: char,
    members: impl IntoIterator<Item = T>,
    text: &mut String,
    mut write: impl FnMut(T, &mut String),
) {
    text.push(open);
    for (place, member) in members.into_iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        write(member, text);
    }
    text.push(close);
}

/// Escapes only what JSON requires: `"`, `\` and control characters.
fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            control if u32::from(control) < 0x20 => {
                // Writing to a string does not fail.
                write!(text, "\\u{:04x}", u32::from(control)).ok();
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

/// Whether the digits of a number are a number in JSON too, as most of DynamoDB's are.
fn is_json(number: &str) -> bool {
    let number = number.strip_prefix('-').unwrap_or(number);
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(part) && (whole == "0" || !whole.starts_with('0'))
}

#[cfg(test)]
mod tests;
