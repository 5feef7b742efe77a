//! Tables of messages and hints.

use super::*;

const BODY: RequestPart = RequestPart::Body;
const QUERY: RequestPart = RequestPart::Query;

#[track_caller]
fn check(table: &[(RequestPart, &str, &str, &str)]) {
    for (part, path, message, expected) in table {
        let (path, words) = hint(*part, path, message);
        assert_eq!(format!("{path}: {words}"), *expected, "{message}");
    }
}

#[test]
fn a_field_that_is_missing_unknown_or_twice_is_named() {
    check(&[
        (BODY, ".", "missing field `operation`", "operation: is required"),
        (BODY, "price", "missing field `amount`", "price.amount: is required"),
        (BODY, "price", "missing field `price`", "price.price: is required"),
        (BODY, "items[3]", "missing field `operation`", "items[3].operation: is required"),
        (BODY, ".", "duplicate field `operation`", "operation: must be sent once"),
        (QUERY, ".", "duplicate field `limit`", "limit: must be sent once"),
        (
            BODY,
            "quantitty",
            "unknown field `quantitty`, expected `operation` or `quantity`",
            "quantitty: is not a field of this request (did you mean quantity?); the fields are: operation, quantity",
        ),
        (
            BODY,
            "items[0].tax",
            "unknown field `tax`, expected one of `a`, `b`, `c`",
            "items[0].tax: is not a field of items[0]; the fields are: a, b, c",
        ),
        // Where the path ends at the parent.
        (
            BODY,
            "price",
            "unknown field `tax`, expected `amount`",
            "price.tax: is not a field of price; the fields are: amount",
        ),
        (
            QUERY,
            "page",
            "unknown field `page`, expected `at`",
            "page: is not a parameter of this request; the parameters are: at",
        ),
        (
            BODY,
            "x",
            "unknown field `x`, there are no fields",
            "x: is not a field of this request, which has none",
        ),
        (
            QUERY,
            "x",
            "unknown field `x`, there are no fields",
            "x: is not a parameter of this request, which has none",
        ),
        (
            BODY,
            "price",
            "unknown field `ice`, there are no fields",
            "price.ice: is not a field of price, which has none",
        ),
        (BODY, "", "unknown field ``, expected `a`", ": is not a field of this request; the fields are: a"),
        // A name that is written like the parser's own words.
        (
            BODY,
            "x`, expected `y",
            "unknown field `x`, expected `y`, expected `at`",
            "x`, expected `y: is not a field of this request; the fields are: at",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_value_of_the_wrong_kind_gets_a_hint() {
    check(&[
        (
            BODY,
            "n",
            "invalid type: string \"2\", expected u64",
            "n: must be a whole number from 0 on, not text",
        ),
        (BODY, "n", "invalid value: integer `-1`, expected u64", "n: must be a whole number from 0 on"),
        (
            BODY,
            "n",
            "invalid value: integer `5000000000`, expected u32",
            "n: must be a whole number from 0 to 4294967295",
        ),
        (BODY, "n", "invalid value: integer `300`, expected u8", "n: must be a whole number from 0 to 255"),
        (
            BODY,
            "n",
            "invalid value: integer `18446744073709551615`, expected i64",
            "n: must be a smaller number",
        ),
        (BODY, "n", "invalid type: null, expected i64", "n: must be a whole number, not null"),
        (
            BODY,
            "n",
            "invalid type: floating point `1000.0`, expected a whole number from 1 to 7",
            "n: must be a whole number from 1 to 7, without decimal point or exponent",
        ),
        (BODY, "t", "invalid type: integer `7`, expected a string", "t: must be text, not a number"),
        (BODY, "t", "invalid type: boolean `true`, expected a string", "t: must be text, not a boolean"),
        (BODY, "t", "invalid type: map, expected a string", "t: must be text, not an object"),
        (BODY, "t", "invalid type: integer `7`, expected string or map", "t: must be text, not a number"),
        (BODY, "b", "invalid type: string \"yes\", expected a boolean", "b: must be true or false, not text"),
        (BODY, "l", "invalid type: map, expected a sequence", "l: must be a list, not an object"),
        (
            BODY,
            "l[2]",
            "invalid type: sequence, expected struct Item",
            "l[2]: must be a JSON object, not a list",
        ),
        (BODY, "o", "invalid type: sequence, expected a map", "o: must be a JSON object, not a list"),
        (BODY, "o", "invalid length 1, expected struct Item with 9 elements", "o: must be a JSON object"),
        (
            BODY,
            "r",
            "invalid value: string \"x\", expected a Decimal type representing a fixed-point number",
            "r: must be a number",
        ),
        (
            BODY,
            "r",
            "invalid value: floating point `1e+300`, expected a Decimal type representing a fixed-point number",
            "r: must be a smaller number",
        ),
        (BODY, "e", "unknown variant `x`, expected `a` or `b`", "e: must be one of: a, b"),
        (
            BODY,
            "e.a",
            "invalid type: integer `1`, expected unit",
            "e.a: must be sent as a word, without an object around it",
        ),
        (BODY, "e", "unknown variant `x`, expected one of `a`, `b`, `c`", "e: must be one of: a, b, c"),
        // A value that is written like the parser's own words.
        (BODY, "e", "unknown variant `x`, expected `y`, expected `a` or `b`", "e: must be one of: a, b"),
        (
            BODY,
            "n",
            "invalid type: string \", expected a map\", expected u64",
            "n: must be a whole number from 0 on, not text",
        ),
        (BODY, ".", "invalid type: sequence, expected a map", "body: must be a JSON object, not a list"),
    ]);
}

#[test]
fn the_text_of_a_query_gets_a_hint() {
    check(&[
        (QUERY, "limit", "invalid digit found in string", "limit: must be a whole number, in digits alone"),
        (
            QUERY,
            "limit",
            "cannot parse integer from empty string",
            "limit: must be a whole number, in digits alone",
        ),
        (QUERY, "limit", "number too large to fit in target type", "limit: must be a smaller number"),
        (QUERY, "limit", "number too small to fit in target type", "limit: must be a larger number"),
        (QUERY, "preview", "provided string was not `true` or `false`", "preview: must be true or false"),
        (
            QUERY,
            "type",
            "unknown variant ``, expected `DEBIT` or `CREDIT`",
            "type: must be one of: DEBIT, CREDIT",
        ),
    ]);
}

#[test]
fn other_messages_stay_as_they_are() {
    for message in [
        "must be 1 to 255 characters",
        "invalid",
        "invalid type: x",
        "unknown field",
        "out of luck: expected none",
        "",
    ] {
        assert_eq!(hint(BODY, "a.b", message), ("a.b".to_owned(), message.to_owned()));
    }
}

#[test]
fn a_long_path_is_cut() {
    let secret = "whsec_secret".repeat(100);
    for message in [
        format!("invalid type: string {secret:?}, expected u64"),
        format!("invalid value: string {secret:?}, expected a boolean"),
        format!("unknown variant `{secret}`, expected `a` or `b`"),
    ] {
        let (_, words) = hint(BODY, "field", &message);
        assert!(!words.contains("secret"), "{words}");
    }
    let (path, words) = hint(BODY, ".", &format!("unknown field `{secret}`, expected `a`"));
    assert_eq!(
        (path.chars().count(), words.as_str()),
        (121, "is not a field of this request; the fields are: a")
    );
    let (_, words) = hint(BODY, &format!("{secret}.x"), "unknown field `x`, expected `y`");
    assert!(words.chars().count() < 200, "{words}");
}

#[test]
fn a_text_that_is_not_json_is_reported_with_its_place() {
    let message = |message| not_json(message, 1, 5);
    assert_eq!(
        message("expected `,` or `}`"),
        "the body is not JSON: expected `,` or `}` at line 1, column 5"
    );
    assert_eq!(
        message("EOF while parsing an object"),
        "the body is not JSON: it ends inside an object at line 1, column 5"
    );
    assert_eq!(message("something new"), "the body is not JSON: something new at line 1, column 5");
    assert_eq!(message("number out of range"), "must be a number nearer to zero");
}

#[test]
fn the_nearest_name_is_suggested() {
    let known = ["operation", "quantity", "resourceId", "customerId", "from", "to"];
    for (name, expected) in [
        ("quantitty", Some("quantity")),
        ("customer_id", Some("customerId")),
        ("customerID", Some("customerId")),
        ("form", Some("from")),
        ("quan", None),
        ("amount", None),
        ("tax", None),
        ("x", None),
        ("too", Some("to")),
        ("", None),
    ] {
        assert_eq!(meant(name, &known), expected, "{name}");
    }
}
