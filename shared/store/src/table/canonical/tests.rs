//! Two items have the same canonical text only if they are equal.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use proptest::prelude::*;

use super::*;

fn string(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(digits: &str) -> AttributeValue {
    AttributeValue::N(digits.to_owned())
}

fn map(members: &[(&str, AttributeValue)]) -> StoredItem {
    members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

#[test]
fn an_item_has_one_canonical_text() {
    let bytes = || Blob::new([251, 255]);
    for (value, expected) in [
        (string("a"), r#""a""#),
        (string("a\"b\\c\n\u{1}\u{7f}é🦀/"), "\"a\\\"b\\\\c\\u000a\\u0001\u{7f}é🦀/\""),
        (string("1"), r#""1""#),
        (number("1"), "1"),
        (number("-12.50"), "-12.50"),
        (number("0.1"), "0.1"),
        // Digits that are no JSON number become a tagged text.
        (number("1E+30"), r#"{"$N":"1E+30"}"#),
        (number("01"), r#"{"$N":"01"}"#),
        (number("+1"), r#"{"$N":"+1"}"#),
        (number("1."), r#"{"$N":"1."}"#),
        (AttributeValue::Bool(true), "true"),
        (AttributeValue::Bool(false), "false"),
        (AttributeValue::Null(true), "null"),
        (AttributeValue::Null(false), r#"{"$NULL":false}"#),
        (AttributeValue::L(vec![]), "[]"),
        (AttributeValue::L(vec![number("2"), number("1")]), "[2,1]"),
        (AttributeValue::M(HashMap::new()), "{}"),
        (AttributeValue::M(map(&[("b", number("1")), ("a", string("x"))])), r#"{"a":"x","b":1}"#),
        (
            AttributeValue::M(map(&[("é", number("1")), ("z", number("2")), ("Z", number("3"))])),
            r#"{"Z":3,"z":2,"é":1}"#,
        ),
        (AttributeValue::B(bytes()), r#"{"$B":"+/8="}"#),
        (AttributeValue::M(map(&[("$B", string("+/8="))])), r#"{"$$B":"+/8="}"#),
        (AttributeValue::M(map(&[("$$B", string("+/8="))])), r#"{"$$$B":"+/8="}"#),
        (AttributeValue::Ss(vec!["b".into(), "a".into()]), r#"{"$SS":["a","b"]}"#),
        (AttributeValue::Ns(vec!["2".into(), "1".into()]), r#"{"$NS":["1","2"]}"#),
        (AttributeValue::Bs(vec![bytes()]), r#"{"$BS":["+/8="]}"#),
    ] {
        let item = map(&[("pk", string("p")), ("sk", string("s")), ("x", value)]);
        assert_eq!(text(&item), format!(r#"{{"x":{expected}}}"#));
    }
    // Only the key's names are left out, and only at the top level.
    let inner = map(&[("pk", string("p"))]);
    assert_eq!(text(&map(&[("pk", string("p")), ("m", AttributeValue::M(inner))])), r#"{"m":{"pk":"p"}}"#);
}

#[test]
fn an_item_without_special_types_is_plain_json() {
    let item = map(&[("a", string("\u{0}\"\\\u{1f}é")), ("n", number("-9007199254740991"))]);
    let read: serde_json::Value = serde_json::from_str(&text(&item)).unwrap();
    assert_eq!(read, serde_json::json!({ "a": "\u{0}\"\\\u{1f}é", "n": -9_007_199_254_740_991_i64 }));
}

fn values() -> impl Strategy<Value = AttributeValue> {
    let leaf = prop_oneof![
        "[a$\"\\\\é\u{1}]{0,3}".prop_map(AttributeValue::S),
        "(0|-?[1-9][0-9]{0,2})([.][0-9])?|1E[+]9".prop_map(AttributeValue::N),
        any::<bool>().prop_map(AttributeValue::Bool),
        any::<bool>().prop_map(AttributeValue::Null),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(|bytes| AttributeValue::B(Blob::new(bytes))),
        prop::collection::btree_set("[ab]{1,2}", 1..3)
            .prop_map(|set| AttributeValue::Ss(set.into_iter().collect())),
        prop::collection::btree_set("[1-9]", 1..3)
            .prop_map(|set| AttributeValue::Ns(set.into_iter().collect())),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
            prop::collection::hash_map(names(), inner, 0..4).prop_map(AttributeValue::M),
        ]
    })
}

/// Few names, so that two items often share some.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("$B"), Just("$N"), Just("$SS"), Just("$$B"), Just("é")]
        .prop_map(str::to_owned)
}

fn items() -> impl Strategy<Value = StoredItem> {
    prop::collection::hash_map(names(), values(), 0..4)
}

proptest! {
    #[test]
    fn different_items_have_different_texts(one in items(), other in items()) {
        prop_assert_eq!(text(&one) == text(&other), one == other);
    }

    #[test]
    fn a_changed_item_has_a_different_text(item in items(), name in names(), value in values(), new in names()) {
        let before = text(&item);
        let mut changed = item.clone();
        let old = changed.insert(name.clone(), value.clone());
        prop_assert_eq!(before == text(&changed), old == Some(value));
        if let Some(value) = changed.remove(&name) {
            let without = text(&changed);
            let is_there = changed.insert(new.clone(), value).is_some();
            prop_assert!(without != text(&changed) || is_there);
        }
    }
}
