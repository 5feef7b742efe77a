//! The `Idempotency-Key` header.

use axum::extract::FromRequestParts;
use domain::IdempotencyKey;
use http::HeaderMap;
use http::request::Parts;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::ApiError;

/// The caller's key for a request, if there is one. In an OpenAPI description it stands for the header of a request that
/// needs a key.
#[derive(Clone, Debug)]
pub struct IdempotencyHeader(pub Option<IdempotencyKey>);

impl IdempotencyHeader {
    const NAME: &str = "Idempotency-Key";

    /// Reads the header.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] when the header is sent more than once or has no valid key.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut sent = headers.get_all(Self::NAME).iter();
        let value = match (sent.next(), sent.next()) {
            (None, _) => return Ok(Self(None)),
            (Some(value), None) => value.to_str().unwrap_or_default().to_owned(),
            (Some(_), Some(_)) => return Err(ApiError::field(Self::NAME, "must be sent once")),
        };
        let key = IdempotencyKey::try_from(value).map_err(|problem| ApiError::field(Self::NAME, problem))?;
        Ok(Self(Some(key)))
    }

    /// The key of a request that needs one.
    ///
    /// # Errors
    /// [`ApiError::IdempotencyKeyRequired`] when there is none.
    pub(super) fn required(self) -> Result<IdempotencyKey, ApiError> {
        self.0.ok_or(ApiError::IdempotencyKeyRequired)
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyHeader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::of(&parts.headers)
    }
}

impl IntoParams for IdempotencyHeader {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = "Your name for this request, 1 to 255 visible ASCII characters";
        let header = ParameterBuilder::new().name(Self::NAME).parameter_in(ParameterIn::Header);
        let header = header.required(Required::True).description(Some(text));
        vec![header.schema(Some(ObjectBuilder::new().schema_type(Type::String))).build()]
    }
}
