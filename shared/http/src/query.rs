//! The query of a request.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Deserializer};

use super::ApiError;
use super::parse_errors::{self, RequestPart};

/// The query of a request. An unknown parameter is an error, so that a typing error is not ignored silently.
#[derive(Debug)]
pub struct QueryParams<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = joined(parts.uri.query().unwrap_or_default());
        let input = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(input).map(Self).map_err(|error| {
            let (path, problem) =
                parse_errors::hint(RequestPart::Query, &error.path().to_string(), &error.inner().to_string());
            ApiError::field(path, problem)
        })
    }
}

/// The values of a parameter that may be sent several times, `name[]`; a value may also have several, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated<T>(pub Vec<T>);

impl<T> Default for Repeated<T> {
    fn default() -> Self {
        Self(vec![])
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Repeated<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let value = |value: &str| T::deserialize(IntoDeserializer::<D::Error>::into_deserializer(value));
        text.split(',').map(value).collect::<Result<_, _>>().map(Self)
    }
}

/// A query in which the values of each parameter `name[]` are joined by commas.
fn joined(query: &str) -> Cow<'_, str> {
    let is_repeated = |name: &str| name.ends_with("[]");
    if !form_urlencoded::parse(query.as_bytes()).any(|(name, _)| is_repeated(&name)) {
        return query.into();
    }
    let mut repeated: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut out = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if is_repeated(&name) {
            repeated.entry(name.into_owned()).or_default().push(value.into_owned());
        } else {
            out.append_pair(&name, &value);
        }
    }
    for (name, values) in repeated {
        out.append_pair(&name, &values.join(","));
    }
    out.finish().into()
}

/// Refuses a range that ends before it begins.
///
/// # Errors
/// [`ApiError::Invalid`] for the field `from`, when it is after `to`.
pub fn in_order<T: PartialOrd>(from: T, to: T) -> Result<(), ApiError> {
    if to < from { Err(ApiError::field("from", "must not be after to")) } else { Ok(()) }
}
