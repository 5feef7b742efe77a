use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::ApiError;
use super::plain::{self, Part};

/// The query of a request. A parameter that the path does not know is an error, so that a typing
/// error does not silently answer another question.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let input = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(input).map(Self).map_err(|error| {
            let (path, problem) =
                plain::mend(Part::Query, &error.path().to_string(), &error.inner().to_string());
            ApiError::field(path, problem)
        })
    }
}
