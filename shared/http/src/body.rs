//! JSON bodies: reading, parsing, and the fingerprint of a request.

use std::collections::BTreeMap;

use axum::body::{HttpBody, to_bytes};
use axum::extract::{FromRequest, Request};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};
use sha2::{Digest, Sha256};

use super::ApiError;
use super::parse_errors::{self, RequestPart};
use domain::Fingerprint;

/// The most bytes of a body (contract: 64 KiB).
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The most bytes of a batch's body (contract: 512 KiB).
pub const BATCH_BYTES_MAX: usize = 512 * 1024;

/// The JSON body of a request that changes nothing, of at most `BYTES` bytes. Requests that change something take an
/// [`Idempotent`](super::Idempotent) or a [`Once`](super::Once).
#[derive(Debug)]
pub struct JsonBody<T, const BYTES: usize = BODY_BYTES_MAX>(pub T);

impl<T: DeserializeOwned, S: Sync, const BYTES: usize> FromRequest<S> for JsonBody<T, BYTES> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        parse(&read(request, BYTES).await?).map(Self)
    }
}

/// A body of one of two kinds.
#[derive(Debug)]
pub enum Either<A, B> {
    /// The body does not have the field [`Distinct::FIELD`].
    One(A),
    /// The body has the field [`Distinct::FIELD`].
    Other(B),
}

/// A kind of body that one field tells from another kind.
pub trait Distinct {
    /// The name of the field.
    const FIELD: &'static str;
}

impl<A, B, S, const BYTES: usize> FromRequest<S> for JsonBody<Either<A, B>, BYTES>
where
    A: DeserializeOwned,
    B: DeserializeOwned + Distinct,
    S: Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = read(request, BYTES).await?;
        let fields = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(&bytes);
        let is_other = fields.is_ok_and(|fields| fields.contains_key(B::FIELD));
        Ok(Self(if is_other { Either::Other(parse(&bytes)?) } else { Either::One(parse(&bytes)?) }))
    }
}

/// The body, of at most `most` bytes; an empty object for a request without a body.
pub(super) async fn read_or_empty(request: Request, most: usize) -> Result<Bytes, ApiError> {
    if request.body().is_end_stream() { Ok(Bytes::from_static(b"{}")) } else { read(request, most).await }
}

/// The body of a request that declares JSON, of at most `most` bytes.
pub(super) async fn read(request: Request, most: usize) -> Result<Bytes, ApiError> {
    let declared = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = declared.map(|value| value.split(';').next().unwrap_or_default().trim());
    if !media.is_some_and(|media| media.eq_ignore_ascii_case("application/json")) {
        return Err(ApiError::NotJson);
    }
    to_bytes(request.into_body(), most).await.map_err(|error| {
        if error.into_inner().is::<http_body_util::LengthLimitError>() {
            ApiError::TooLarge(most)
        } else {
            ApiError::field("body", "is incomplete; send it again")
        }
    })
}

/// The body as a `T`, or an error with the path of the first invalid field and a hint.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // serde accepts a list for a struct, field by field; our API does not.
    match bytes.trim_ascii_start().first() {
        Some(b'{') => {}
        Some(_) => return Err(ApiError::field("body", "must be a JSON object")),
        None => return Err(ApiError::field("body", "must be a JSON object, and is empty")),
    }
    let mut input = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut input).map_err(|error| {
        let message = message::<T>(bytes, &error);
        let (path, problem) = parse_errors::hint(RequestPart::Body, &error.path().to_string(), &message);
        let known = parse_errors::missing(&message).and_then(|name| words_of::<T>(error.path(), name));
        let problem = known.map_or_else(|| problem.clone(), |known| format!("{problem}: {known}"));
        ApiError::field(path, problem)
    })?;
    input.end().map_err(|error| ApiError::field("body", place(&error)))?;
    Ok(value)
}

/// The parser's message about a body that is invalid.
fn message<T: DeserializeOwned>(
    bytes: &[u8],
    error: &serde_path_to_error::Error<serde_json::Error>,
) -> String {
    match error.inner().classify() {
        Category::Data => words(error.inner()),
        Category::Syntax | Category::Eof | Category::Io => match serde_json::from_slice::<Value>(bytes) {
            Err(error) => place(&error),
            // The text is JSON: the parser also calls a value in place of a word a syntax error.
            Ok(_) => no_word::<T>(error.path()),
        },
    }
}

/// The words that a missing field accepts, as `one of: …`; none for a field that accepts other values.
fn words_of<T: DeserializeOwned>(path: &Path, name: &str) -> Option<String> {
    let empty = Value::Object([(name.to_owned(), Value::String(String::new()))].into_iter().collect());
    let message = message_of::<T>(path, empty).filter(|message| message.starts_with("unknown variant "))?;
    let (_, words) = parse_errors::hint(RequestPart::Body, "", &message);
    words.strip_prefix("must be ").map(str::to_owned)
}

/// The parser's message about an unknown word at that path, which lists the known ones.
fn no_word<T: DeserializeOwned>(path: &Path) -> String {
    let message = message_of::<T>(path, Value::String(String::new()));
    message
        .filter(|message| message.starts_with("unknown variant "))
        .unwrap_or_else(|| "must be text".to_owned())
}

/// The parser's message about a body with only this value, at that path.
fn message_of<T: DeserializeOwned>(path: &Path, value: Value) -> Option<String> {
    let body = path.iter().rev().try_fold(value, |value, segment| match segment {
        Segment::Seq { .. } => Some(Value::Array(vec![value])),
        Segment::Map { key } => Some(Value::Object([(key.clone(), value)].into_iter().collect())),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    let text = body.unwrap_or_default().to_string();
    serde_json::from_slice::<T>(text.as_bytes()).err().map(|error| words(&error))
}

/// A message without its place.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// The message about a text that is not JSON, with its place.
fn place(error: &serde_json::Error) -> String {
    parse_errors::not_json(&words(error), error.line(), error.column())
}

/// The fingerprint that binds an idempotency key to a request: a digest of method, path and the body's value. The order
/// of fields does not matter.
pub(super) fn fingerprint(method: &str, path: &str, bytes: &[u8]) -> Result<Fingerprint, ApiError> {
    let value: Value = parse(bytes)?;
    let digest = Sha256::digest(format!("{method} {path}\n{}", ordered(&value)));
    Ok(Fingerprint(URL_SAFE_NO_PAD.encode(digest)))
}

fn ordered(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{name:?}:{}", ordered(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(ordered).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use domain::{Mode, Quantity, Reference};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read from text")]
    struct Outer {
        quantity: Option<Quantity>,
        items: Option<Vec<Inner>>,
        must: Option<Must>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read from text")]
    struct Must {
        mode: Mode,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read from text")]
    struct Inner {
        name: Reference,
        mode: Option<Mode>,
    }

    #[test]
    fn an_invalid_field_is_named_by_its_path() {
        for (body, expected) in [
            (r#"{"quantity": 0}"#, "quantity: must be a whole number from 1 to 1000000"),
            (
                r#"{"quantity": 1.5}"#,
                "quantity: must be a whole number from 1 to 1000000, without decimal point or exponent",
            ),
            (
                r#"{"quantity": 1e3}"#,
                "quantity: must be a whole number from 1 to 1000000, without decimal point or exponent",
            ),
            (r#"{"quantity": "2"}"#, "quantity: must be a whole number from 1 to 1000000, not text"),
            (r#"{"quantity": -1}"#, "quantity: must be a whole number from 1 to 1000000"),
            (r#"{"quantity": 1e999}"#, "quantity: must be a number nearer to zero"),
            (
                r#"{"quantitty": 1}"#,
                "quantitty: is not a field of this request (did you mean quantity?); the fields are: quantity, items, must",
            ),
            (r#"{"items": [{"name": "a"}, {}]}"#, "items[1].name: is required"),
            (r#"{"must": {}}"#, "must.mode: is required: one of: live, test"),
            (
                r#"{"items": [{"name": "a", "x": 1}]}"#,
                "items[0].x: is not a field of items[0]; the fields are: name, mode",
            ),
            (r#"{"items": [{"name": "a", "mode": 7}]}"#, "items[0].mode: must be one of: live, test"),
            (r#"{"items": [{"name": "a", "mode": {}}]}"#, "items[0].mode: must be one of: live, test"),
            (
                r#"{"items": [{"name": "a", "mode": 7}, {"name": 7}]}"#,
                "items[0].mode: must be one of: live, test",
            ),
            (r#"{"items": [{"name": "a", "mode": 7}], "a": 1}"#, "items[0].mode: must be one of: live, test"),
            (
                r#"{"items": [{"name": "a\u0000"}]}"#,
                "items[0].name: must be 1 to 255 characters without control characters",
            ),
            (r#"[]"#, "body: must be a JSON object"),
            (r#"[1, null]"#, "body: must be a JSON object"),
            ("7", "body: must be a JSON object"),
            (
                r#"{"quantity": 1"#,
                "body: the body is not JSON: it ends inside an object at line 1, column 14",
            ),
            (r#"{} x"#, "body: the body is not JSON: something follows its end at line 1, column 4"),
            ("", "body: must be a JSON object, and is empty"),
        ] {
            let Err(ApiError::Invalid(fields)) = parse::<Outer>(body.as_bytes()) else {
                panic!("{body} reads")
            };
            let message: String = fields.iter().map(|(path, problem)| format!("{path}: {problem}")).collect();
            assert_eq!(message, expected, "{body}");
        }
    }

    #[test]
    fn a_fingerprint_ignores_the_order_of_fields() {
        let of = |path: &str, body: &str| fingerprint("POST", path, body.as_bytes()).unwrap();
        assert_eq!(
            of("/a", r#"{"x":1,"y":{"b":[1,2],"a":null}}"#),
            of("/a", r#" {"y":{"a":null,"b":[1,2]},"x":1}"#)
        );
        assert_ne!(of("/a", r#"{"x":1}"#), of("/b", r#"{"x":1}"#));
        assert_ne!(of("/a", r#"{"x":[1,2]}"#), of("/a", r#"{"x":[2,1]}"#));
        assert_ne!(of("/a", r#"{"x":1}"#), of("/a", r#"{"x":"1"}"#));
        assert_ne!(of("/a", r#"{"x":"a\",\"y\":\"b"}"#), of("/a", r#"{"x":"a","y":"b"}"#));
    }
}
