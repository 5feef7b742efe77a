//! API keys of organisations.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use domain::{AccountId, ApiKey, ApiKeySecret, ClaimKey, KeyId, Mode, OrgId, Reference, Scope};
use scrip_http::{
    ApiError, App, Id, IdempotencyHeader, Idempotent, NoFields, Operator, OptionalBody, PathId, Reply,
    timestamp,
};
use serde::{Deserialize, Serialize};
use store::{ClaimsOf, secret_bytes};
use utoipa::ToSchema;

/// An API key to issue.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    /// The ledger that the key works on: live or test.
    #[schema(value_type = String, example = "live")]
    mode: Mode,
    /// The key's scopes: `credits:read`, `credits:consume`, `credits:purchase`, `credits:refund`, `settings:write`,
    /// `team:write`, and `dashboard`, which lets a key work on a plan without API access. Default: `credits:read` and
    /// `credits:consume`.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<BTreeSet<Scope>>,
    /// A description.
    #[schema(value_type = Option<String>, max_length = 255)]
    description: Option<Reference>,
}

/// An issued key, which is shown once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Issued {
    key_id: String,
    /// The key itself. Keep it: only its hash is stored. Null if an earlier answer has shown it; revoke the key and
    /// create another one if you do not have it.
    key: Option<String>,
    /// true if the key was shown before and is not shown again. Left out if the key is shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    secret_shown: bool,
    last4: String,
    #[schema(value_type = Vec<String>)]
    scopes: BTreeSet<Scope>,
    #[schema(value_type = String)]
    mode: Mode,
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
}

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
    request_body = NewKey,
    responses((status = 201, body = Issued), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn issue(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(org): Path<Id<OrgId>>,
    intent: Idempotent<NewKey>,
) -> Result<Reply, ApiError> {
    let moment = operator.call.moment;
    let NewKey { mode, scopes, description } = intent.body;
    let scopes = scopes.unwrap_or_else(Scope::default_scopes);
    if scopes.is_empty() {
        return Err(ApiError::field("scopes", "must name at least one scope, or be left out"));
    }
    let org = org.found()?;
    app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    let claims = ClaimsOf::Account(AccountId { org, mode });
    let claim = ClaimKey::Operator(intent.key);
    let made = app.ledger.claim_once(claims, &claim, &intent.fingerprint, moment).await?;
    let secret = ApiKeySecret::for_organisation(mode, secret_bytes()?);
    let wanted = ApiKey {
        key_id: KeyId::from(made.id),
        org: Some(org),
        mode,
        scopes,
        last4: secret.last4(),
        created_at: made.at,
        revoked_at: None,
        description,
    };
    // The first attempt that gets here issues the key; every other one finds it issued.
    let known = app.settings.issue_key(org, &secret, &wanted).await?;
    let key = known.is_none().then(|| secret.reveal().to_owned());
    let ApiKey { key_id, last4, scopes, mode, created_at, .. } = known.unwrap_or(wanted);
    let secret_shown = key.is_none();
    let issued = Issued { key_id: key_id.to_string(), key, secret_shown, last4, scopes, mode, created_at };
    Reply::created(&issued, secret_shown)
}

/// Revokes a key. Functions that have used it recently may accept it for up to a minute.
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
    let key = app.settings.revoke(org, key, now).await?.ok_or(KeyId::NOT_FOUND)?;
    let revoked = Revoked {
        key_id: key.key_id.to_string(),
        last4: key.last4,
        revoked_at: key.revoked_at.unwrap_or(now),
    };
    Reply::ok(&revoked)
}
