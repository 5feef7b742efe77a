//! API keys of organisations.

use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use domain::{AccountId, ApiKeySecret, ClaimKey, EntryId, KeyId, OrgId};
use scrip_http::{
    ApiError, ApiKeyView, App, Id, IdempotencyHeader, Idempotent, IssuedApiKey, KeyOrigin, NewApiKey,
    NoFields, Operator, OptionalBody, PathId, Reply, timestamp,
};
use serde::Serialize;
use store::{ClaimsOf, IssuedKey, ListedKey, secret_bytes};
use utoipa::ToSchema;

/// A revoked key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Revoked {
    key_id: String,
    last4: String,
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    revoked_at: DateTime<Utc>,
}

/// Issues a key and shows it once. A retry of the request issues no other key and answers the same `keyId`, with
/// `key: null` and `secretShown: true`.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/keys",
    tag = "operator",
    params(
        ("id" = String, Path, description = "org_…"),
        IdempotencyHeader,
    ),
    request_body = NewApiKey,
    responses(
        (status = 201, body = IssuedApiKey),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the organisation has 1,000 keys; revoke some that are not used"),
    ),
)]
pub(super) async fn issue(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(org): Path<Id<OrgId>>,
    intent: Idempotent<NewApiKey>,
) -> Result<Reply, ApiError> {
    let moment = operator.call.moment;
    let (org, mode) = (org.found()?, intent.body.mode());
    app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    let secret = ApiKeySecret::for_organisation(mode, secret_bytes()?);
    // What is wrong with the request is said before its key is claimed.
    let origin = |request, at| KeyOrigin { by: operator.key, request, at };
    intent.body.clone().key(org, &secret, origin(EntryId::FIRST, moment.now))?;
    let claims = ClaimsOf::Account(AccountId { org, mode });
    let claim = ClaimKey::Operator(intent.key);
    let made = app.ledger.claim_once(claims, &claim, &intent.fingerprint, moment).await?;
    let wanted = intent.body.key(org, &secret, origin(made.id, made.at))?;
    // The first attempt that gets here issues the key; every other one finds it issued.
    let (key, secret) = match app.settings.issue_key(&secret, &wanted).await? {
        IssuedKey::New => (wanted, Some(secret)),
        IssuedKey::Known(known) => (*known, None),
        IssuedKey::TooMany => {
            return Err(ApiError::Conflict(
                "this organisation has 1,000 API keys; revoke some that are not used",
            ));
        }
    };
    let listed = ListedKey { key, last_used: None, previous: None };
    IssuedApiKey::reply(ApiKeyView::of(listed, moment.now), secret.as_ref())
}

/// Revokes a key. Functions that have used it recently notice it within 5 seconds.
#[utoipa::path(
    delete,
    path = "/admin/v1/organisations/{id}/keys/{keyId}",
    tag = "operator",
    params(("id" = String, Path, description = "org_…"), ("keyId" = String, Path, description = "key_…")),
    responses((status = 200, body = Revoked), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(path): Path<(Id<OrgId>, Id<KeyId>)>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    let (org, key) = (path.0.found()?, path.1.found()?);
    let now = operator.call.moment.now;
    let key = app.settings.revoke(Some(org), key, now).await?.ok_or(KeyId::NOT_FOUND)?;
    let revoked = Revoked {
        key_id: key.key_id.to_string(),
        last4: key.last4,
        revoked_at: key.revoked_at.unwrap_or(now),
    };
    Reply::ok(&revoked)
}
