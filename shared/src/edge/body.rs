use std::collections::BTreeMap;

use axum::body::{HttpBody, to_bytes};
use axum::extract::{FromRequest, Request};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::ApiError;
use crate::domain::Fingerprint;

/// Bytes that a body may have (contract: 64 KiB).
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes that the body of a batch may have (contract: 512 KiB).
pub const BATCH_BYTES_MAX: usize = 512 * 1024;

/// A JSON body of a request that may be repeated without an idempotency key, of at most so many bytes.
#[derive(Debug)]
pub struct Payload<T, const BYTES: usize = BODY_BYTES_MAX>(pub T);

impl<T: DeserializeOwned, S: Sync, const BYTES: usize> FromRequest<S> for Payload<T, BYTES> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        parse(&read(request, BYTES).await?).map(Self)
    }
}

/// A [`Payload`] that may be left out: what is said then is nothing.
#[derive(Debug)]
pub struct Optional<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Optional<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        parse(&read_or_empty(request, BODY_BYTES_MAX).await?).map(Self)
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

/// The body as a `T`; or the path of the first field that does not fit, and why.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // serde reads a list as a struct, field by field; a caller who sends one means something else.
    if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(ApiError::field("body", "must be a JSON object"));
    }
    let mut input = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut input).map_err(|error| {
        let path = error.path().to_string();
        let problem = problem(&error.into_inner());
        ApiError::field(path_of(path, &problem), problem)
    })?;
    input.end().map_err(|error| ApiError::field("body", problem(&error)))?;
    Ok(value)
}

/// serde's words without the place in the text, which means nothing for a body made by a program.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.clone(), |(words, _)| words.to_owned())
}

/// An unknown or missing field is named by the message, not by the path, which ends at its parent.
pub(super) fn path_of(path: String, problem: &str) -> String {
    let named = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|start| problem.strip_prefix(start)?.split('`').next());
    match (path.as_str(), named) {
        ("." | "?", None) => "body".to_owned(),
        ("." | "?", Some(field)) => field.to_owned(),
        (parent, Some(field)) if parent != field && !parent.ends_with(&format!(".{field}")) => {
            format!("{parent}.{field}")
        }
        (_, _) => path,
    }
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
    use crate::domain::{Quantity, Reference};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read from text")]
    struct Outer {
        quantity: Option<Quantity>,
        items: Option<Vec<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read from text")]
    struct Inner {
        name: Reference,
    }

    #[test]
    fn what_does_not_read_is_named_by_its_path() {
        for (body, expected) in [
            (r#"{"quantity": 0}"#, "quantity: must be a whole number from 1 to 1000000"),
            (r#"{"quantity": 1.5}"#, "quantity: invalid type: floating point `1.5`, expected u64"),
            (r#"{"quantity": "2"}"#, "quantity: invalid type: string \"2\", expected u64"),
            (r#"{"quantity": -1}"#, "quantity: invalid value: integer `-1`, expected u64"),
            (r#"{"quantity": 1e3}"#, "quantity: invalid type: floating point `1000.0`, expected u64"),
            (r#"{"quantitty": 1}"#, "quantitty: unknown field `quantitty`, expected `quantity` or `items`"),
            (r#"{"items": [{"name": "a"}, {}]}"#, "items[1].name: missing field `name`"),
            (r#"{"items": [{"name": "a", "x": 1}]}"#, "items[0].x: unknown field `x`, expected `name`"),
            (
                r#"{"items": [{"name": "a\u0000"}]}"#,
                "items[0].name: must be 1 to 255 characters without control characters",
            ),
            (r#"[]"#, "body: must be a JSON object"),
            (r#"[1, null]"#, "body: must be a JSON object"),
            ("7", "body: must be a JSON object"),
            (r#"{"quantity": 1"#, "body: EOF while parsing an object"),
            (r#"{} x"#, "body: trailing characters"),
            ("", "body: EOF while parsing a value"),
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
