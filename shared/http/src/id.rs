//! Ids in paths.

use domain::{
    BudgetId, BudgetRequestId, CreditId, DeliveryId, EntryId, ExportId, HoldId, InvitationId, KeyId,
    MemberId, MonitorId, OrgId, SessionId, TeamId, WebhookId,
};
use serde::{Deserialize, Deserializer};

use super::ApiError;

/// An id in a path, for `axum::extract::Path`. A malformed id names nothing, so the handler answers 404.
#[derive(Clone, Copy, Debug)]
pub struct Id<T>(Option<T>);

/// An id that a path may have.
pub trait PathId: TryFrom<String> {
    /// The error for an id that names nothing.
    const NOT_FOUND: ApiError;
}

impl<T: PathId> Id<T> {
    /// The id.
    ///
    /// # Errors
    /// [`PathId::NOT_FOUND`] when it is malformed.
    pub fn found(self) -> Result<T, ApiError> {
        self.0.ok_or(T::NOT_FOUND)
    }
}

impl<'de, T: PathId> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        Ok(Self(T::try_from(text).ok()))
    }
}

impl PathId for OrgId {
    const NOT_FOUND: ApiError = ApiError::NotFound("there is no such organisation");
}

impl PathId for BudgetId {
    const NOT_FOUND: ApiError =
        ApiError::NotFound("there is no budget with this id; GET /api/v3/credits/budgets lists yours");
}

impl PathId for BudgetRequestId {
    const NOT_FOUND: ApiError =
        ApiError::NotFound("there is no request with this id; GET /api/v3/budget-requests lists yours");
}

impl PathId for TeamId {
    const NOT_FOUND: ApiError =
        ApiError::NotFound("there is no team with this id; GET /api/v3/teams lists yours");
}

impl PathId for KeyId {
    const NOT_FOUND: ApiError = ApiError::NotFound("the organisation has no such key");
}

impl PathId for MemberId {
    const NOT_FOUND: ApiError = ApiError::NotFound("the organisation has no such member");
}

impl PathId for InvitationId {
    const NOT_FOUND: ApiError = ApiError::NotFound("the organisation has no such invitation");
}

impl PathId for SessionId {
    const NOT_FOUND: ApiError =
        ApiError::NotFound("you have no open session with this id; GET /api/v3/sessions lists yours");
}

impl PathId for EntryId {
    const NOT_FOUND: ApiError = ApiError::NotFound(
        "there is no transaction with this id in this ledger; GET /api/v3/credits/transactions lists those of your key",
    );
}

impl PathId for CreditId {
    const NOT_FOUND: ApiError =
        ApiError::NotFound("there is no credit record with this id; GET /v2/credits lists those of your key");
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

impl PathId for ExportId {
    const NOT_FOUND: ApiError = ApiError::NotFound(
        "there is no export with this id in this ledger, or it is older than 35 days; \
         GET /api/v3/credits/transactions/exports lists yours",
    );
}
