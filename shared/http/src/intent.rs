use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use serde::de::DeserializeOwned;

use super::{ApiError, App, body};
use domain::{Fingerprint, IdempotencyKey};

/// A request that makes something or moves credits: its JSON body, the caller's key for it, and
/// the fingerprint that binds the two. The body has at most so many bytes.
#[derive(Debug)]
pub struct Intent<T, const BYTES: usize = { body::BODY_BYTES_MAX }> {
    /// The caller's own name for the request.
    pub key: IdempotencyKey,
    /// Method, path and body as a digest.
    pub fingerprint: Fingerprint,
    /// What is asked.
    pub body: T,
}

impl<T: DeserializeOwned, const BYTES: usize> FromRequest<Arc<App>> for Intent<T, BYTES> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let key = key(request.headers())?;
        let bytes = body::read(request, BYTES).await?;
        let asked = body::parse(&bytes)?;
        let fingerprint = body::fingerprint(method.as_str(), &path, &bytes)?;
        Ok(Self { key, fingerprint, body: asked })
    }
}

/// An [`Intent`] that says it all by its path: the body may be left out.
#[derive(Debug)]
pub struct Brief<T>(pub Intent<T>);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Brief<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let key = key(request.headers())?;
        let bytes = body::read_or_empty(request, body::BODY_BYTES_MAX).await?;
        let asked = body::parse(&bytes)?;
        let fingerprint = body::fingerprint(method.as_str(), &path, &bytes)?;
        Ok(Self(Intent { key, fingerprint, body: asked }))
    }
}

/// A request that sets something to be so: sent again it changes nothing, so it needs no idempotency key.
/// With one, a sending that comes late does not undo what was set since.
#[derive(Debug)]
pub struct Setting<T> {
    /// The caller's own name for the request, if they gave one.
    pub key: Option<IdempotencyKey>,
    /// Method, path and body as a digest.
    pub fingerprint: Fingerprint,
    /// What is asked.
    pub body: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Setting<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let path = format!("{} {}", request.method(), request.uri().path());
        let key = optional_key(request.headers())?;
        let bytes = body::read(request, body::BODY_BYTES_MAX).await?;
        let asked = body::parse(&bytes)?;
        let (method, path) = path.split_once(' ').unwrap_or_default();
        let fingerprint = body::fingerprint(method, path, &bytes)?;
        Ok(Self { key, fingerprint, body: asked })
    }
}

/// The caller's key, if there is one.
pub(super) fn optional_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    match key(headers) {
        Ok(key) => Ok(Some(key)),
        Err(ApiError::IdempotencyKeyRequired) => Ok(None),
        Err(error) => Err(error),
    }
}

fn key(headers: &HeaderMap) -> Result<IdempotencyKey, ApiError> {
    const NAME: &str = "Idempotency-Key";
    let mut sent = headers.get_all(NAME).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else {
        return Err(match headers.contains_key(NAME) {
            true => ApiError::field(NAME, "must be sent once"),
            false => ApiError::IdempotencyKeyRequired,
        });
    };
    let text = value.to_str().unwrap_or_default().to_owned();
    IdempotencyKey::try_from(text).map_err(|problem| ApiError::field(NAME, problem))
}
