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
use super::plain::{self, Part};
use domain::Fingerprint;

/// Bytes that a body may have (contract: 64 KiB).
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes that the body of a batch may have (contract: 512 KiB).
pub const BATCH_BYTES_MAX: usize = 512 * 1024;

/// A JSON body of a request that changes nothing, of at most so many bytes. What changes something takes an
/// [`Intent`](super::Intent) or a [`Once`](super::Once).
#[derive(Debug)]
pub struct Payload<T, const BYTES: usize = BODY_BYTES_MAX>(pub T);

impl<T: DeserializeOwned, S: Sync, const BYTES: usize> FromRequest<S> for Payload<T, BYTES> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        parse(&read(request, BYTES).await?).map(Self)
    }
}

/// A body that may be the one or the other: the other is told by a field of its own.
#[derive(Debug)]
pub enum Either<A, B> {
    /// Without the field.
    One(A),
    /// With it.
    Other(B),
}

/// A body that is told from another by one of its fields.
pub trait Distinct {
    /// The field.
    const FIELD: &'static str;
}

impl<A, B, S, const BYTES: usize> FromRequest<S> for Payload<Either<A, B>, BYTES>
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

/// The body's bytes, at most so many; an empty object for a request without a body.
pub(super) async fn read_or_empty(request: Request, most: usize) -> Result<Bytes, ApiError> {
    if request.body().is_end_stream() { Ok(Bytes::from_static(b"{}")) } else { read(request, most).await }
}

/// The body's bytes, once type and size are right.
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
            ApiError::field("body", "broke off; send it again")
        }
    })
}

/// The body as a `T`; or the path of the first field that does not fit, and what mends it.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // serde reads a list as a struct, field by field; a caller who sends one means something else.
    match bytes.trim_ascii_start().first() {
        Some(b'{') => {}
        Some(_) => return Err(ApiError::field("body", "must be a JSON object")),
        None => return Err(ApiError::field("body", "must be a JSON object, and is empty")),
    }
    let mut input = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut input).map_err(|error| {
        let told = told::<T>(bytes, &error);
        let (path, problem) = plain::mend(Part::Body, &error.path().to_string(), &told);
        let known = plain::missing(&told).and_then(|name| words_of::<T>(error.path(), name));
        let problem = known.map_or_else(|| problem.clone(), |known| format!("{problem}: {known}"));
        ApiError::field(path, problem)
    })?;
    input.end().map_err(|error| ApiError::field("body", place(&error)))?;
    Ok(value)
}

/// The parser's words for what does not read.
fn told<T: DeserializeOwned>(bytes: &[u8], error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    match error.inner().classify() {
        Category::Data => words(error.inner()),
        Category::Syntax | Category::Eof | Category::Io => match serde_json::from_slice::<Value>(bytes) {
            Err(error) => place(&error),
            // It is JSON: what stands where a word is expected is called a mistake of syntax too.
            Ok(_) => no_word::<T>(error.path()),
        },
    }
}

/// The words that a missing field takes, as `one of: …`; `None` for a field that takes others.
fn words_of<T: DeserializeOwned>(path: &Path, name: &str) -> Option<String> {
    let empty = Value::Object([(name.to_owned(), Value::String(String::new()))].into_iter().collect());
    let told = told_of::<T>(path, empty).filter(|told| told.starts_with("unknown variant "))?;
    let (_, words) = plain::mend(Part::Body, "", &told);
    words.strip_prefix("must be ").map(str::to_owned)
}

/// What would be told of a word that nobody knows, were it sent at that path: which words are known.
fn no_word<T: DeserializeOwned>(path: &Path) -> String {
    let told = told_of::<T>(path, Value::String(String::new()));
    told.filter(|told| told.starts_with("unknown variant ")).unwrap_or_else(|| "must be text".to_owned())
}

/// What the parser says of a body that has only this value, at that path.
fn told_of<T: DeserializeOwned>(path: &Path, value: Value) -> Option<String> {
    let body = path.iter().rev().try_fold(value, |value, segment| match segment {
        Segment::Seq { .. } => Some(Value::Array(vec![value])),
        Segment::Map { key } => Some(Value::Object([(key.clone(), value)].into_iter().collect())),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    let text = body.unwrap_or_default().to_string();
    serde_json::from_slice::<T>(text.as_bytes()).err().map(|error| words(&error))
}

/// The words alone.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// The words for what is no JSON, with its place in the text.
fn place(error: &serde_json::Error) -> String {
    plain::not_json(&words(error), error.line(), error.column())
}

/// What binds an idempotency key to a request: method, path, and the body's value, in whatever
/// order its fields stood.
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
    fn what_does_not_read_is_named_by_its_path() {
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
            let told: String = fields.iter().map(|(path, problem)| format!("{path}: {problem}")).collect();
            assert_eq!(told, expected, "{body}");
        }
    }

    #[test]
    fn a_fingerprint_sees_values_and_not_their_order() {
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
