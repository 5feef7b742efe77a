//! Requests that move credits or create something: a JSON body with the caller's idempotency key.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use serde::de::DeserializeOwned;

use super::{ApiError, App, IdempotencyHeader, RequestContext, body};
use domain::{Fingerprint, IdempotencyKey};

/// A request that needs an idempotency key: its JSON body of at most `BYTES` bytes, the key, and the fingerprint that
/// binds the two. The ledger claims the key.
#[derive(Debug)]
pub struct Idempotent<T, const BYTES: usize = { body::BODY_BYTES_MAX }> {
    /// The caller's own name for the request.
    pub key: IdempotencyKey,
    /// A digest of method, path and body.
    pub fingerprint: Fingerprint,
    /// The body.
    pub body: T,
}

impl<T: DeserializeOwned, const BYTES: usize> FromRequest<Arc<App>> for Idempotent<T, BYTES> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let target = Target::of(&request);
        let key = key(request.headers())?;
        let bytes = body::read(request, BYTES).await?;
        let (body, fingerprint) = target.parse(&bytes)?;
        Ok(Self { key, fingerprint, body })
    }
}

/// An [`Idempotent`] request whose body may be left out.
#[derive(Debug)]
pub struct IdempotentOptional<T>(pub Idempotent<T>);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for IdempotentOptional<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let target = Target::of(&request);
        let key = key(request.headers())?;
        let bytes = body::read_or_empty(request, body::BODY_BYTES_MAX).await?;
        let (body, fingerprint) = target.parse(&bytes)?;
        Ok(Self(Idempotent { key, fingerprint, body }))
    }
}

/// A request that may have an idempotency key. With one, a late retry does not undo what was set since.
#[derive(Debug)]
pub struct MaybeIdempotent<T> {
    /// The caller's own name for the request, if there is one.
    pub key: Option<IdempotencyKey>,
    /// A digest of method, path and body.
    pub fingerprint: Fingerprint,
    /// The body.
    pub body: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for MaybeIdempotent<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let target = Target::of(&request);
        let IdempotencyHeader(key) = IdempotencyHeader::of(request.headers())?;
        let bytes = body::read(request, body::BODY_BYTES_MAX).await?;
        let (body, fingerprint) = target.parse(&bytes)?;
        Ok(Self { key, fingerprint, body })
    }
}

/// What a request's fingerprint covers besides its body.
pub(super) struct Target {
    method: String,
    pub(super) path: String,
    call: Option<RequestContext>,
}

impl Target {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            method: request.method().as_str().to_owned(),
            path: request.uri().path().to_owned(),
            call: request.extensions().get().cloned(),
        }
    }

    /// The body, and the fingerprint of the request.
    pub(super) fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<(T, Fingerprint), ApiError> {
        let body = body::parse(bytes)?;
        if let Some(call) = &self.call {
            call.asked(bytes);
        }
        Ok((body, body::fingerprint(&self.method, &self.path, bytes)?))
    }
}

fn key(headers: &HeaderMap) -> Result<IdempotencyKey, ApiError> {
    IdempotencyHeader::of(headers)?.required()
}
