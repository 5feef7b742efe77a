//! Ids in paths.

use axum::extract::{FromRequestParts, RawPathParams};
use domain::{DeliveryId, EntryId, HoldId, KeyId, MonitorId, OrgId, WebhookId};
use http::request::Parts;

use super::ApiError;

/// An id, or a pair of ids, in the path. A malformed id names nothing, so the answer is 404.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

/// An id that a path may have.
pub trait PathId: TryFrom<String> {
    /// The error for an id that names nothing.
    const NOT_FOUND: ApiError;
}

impl<T: PathId, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let mut segments = segments(parts, state).await?.into_iter();
        read(segments.next()).map(Self)
    }
}

impl<A: PathId, B: PathId, S: Send + Sync> FromRequestParts<S> for Path<(A, B)> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let mut segments = segments(parts, state).await?.into_iter();
        Ok(Self((read(segments.next())?, read(segments.next())?)))
    }
}

async fn segments<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Vec<String>, ApiError> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    let params = params.map_err(|_| ApiError::field("path", "is not valid UTF-8"))?;
    Ok(params.iter().map(|(_, value)| value.to_owned()).collect())
}

fn read<T: PathId>(segment: Option<String>) -> Result<T, ApiError> {
    T::try_from(segment.unwrap_or_default()).map_err(|_| T::NOT_FOUND)
}

impl PathId for OrgId {
    const NOT_FOUND: ApiError = ApiError::NotFound("there is no such organisation");
}

impl PathId for KeyId {
    const NOT_FOUND: ApiError = ApiError::NotFound("the organisation has no such key");
}

impl PathId for EntryId {
    const NOT_FOUND: ApiError = ApiError::NotFound(
        "there is no transaction with this id in this ledger; GET /api/v3/credits/transactions lists those of your key",
    );
}

impl PathId for HoldId {
    const NOT_FOUND: ApiError = ApiError::NotFound(
        "there is no hold with this id in this ledger; send the `holdId` that POST /api/v3/credits/holds answered",
    );
}

impl PathId for MonitorId {
    const NOT_FOUND: ApiError =
        ApiError::NotFound("there is no monitor with this id; GET /api/v3/monitors lists yours");
}

impl PathId for WebhookId {
    const NOT_FOUND: ApiError =
        ApiError::NotFound("there is no webhook with this id; GET /api/v3/webhooks lists yours");
}

impl PathId for DeliveryId {
    const NOT_FOUND: ApiError = ApiError::NotFound(
        "there is no delivery with this id, or it is older than 30 days; GET /api/v3/webhooks/{id}/deliveries lists them",
    );
}
