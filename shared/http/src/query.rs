//! The query of a request.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::ApiError;
use super::parse_errors::{self, RequestPart};

/// The query of a request. An unknown parameter is an error, so that a typing error is not ignored silently.
#[derive(Debug)]
pub struct QueryParams<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let input = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(input).map(Self).map_err(|error| {
            let (path, problem) =
                parse_errors::hint(RequestPart::Query, &error.path().to_string(), &error.inner().to_string());
            ApiError::field(path, problem)
        })
    }
}

/// Refuses a range that ends before it begins.
///
/// # Errors
/// [`ApiError::Invalid`] for the field `from`, when it is after `to`.
pub fn in_order<T: PartialOrd>(from: T, to: T) -> Result<(), ApiError> {
    if to < from { Err(ApiError::field("from", "must not be after to")) } else { Ok(()) }
}
