use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use domain::{AccountId, ApiKey, ClaimKey, KeyId, Mode, Reference, Scope, Secret};
use scrip_http::{ApiError, App, Intent, NoFields, OnceOptional, Operator, Reply, instant};
use serde::{Deserialize, Serialize};
use store::{ClaimsOf, secret_bytes};
use utoipa::ToSchema;

/// A key for an organisation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    /// live or test: which ledger of the organisation the key works on.
    #[schema(value_type = String, example = "live")]
    mode: Mode,
    /// What it may do: `credits:read`, `credits:consume`, `credits:purchase`, `credits:refund`, `settings:write`,
    /// `team:write`, and `dashboard`, which makes a key work on a plan without API access. `credits:read` and
    /// `credits:consume` when left out.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<BTreeSet<Scope>>,
    /// In words.
    #[schema(value_type = Option<String>, max_length = 255)]
    description: Option<Reference>,
}

/// A key, shown once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Issued {
    key_id: String,
    /// The key itself. Keep it: only its hash is stored. Null when an earlier answer has shown it; revoke that
    /// key and create another if you do not have it.
    key: Option<String>,
    /// true: the key was shown before and is not shown again. Left out with the key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    secret_shown: bool,
    last4: String,
    #[schema(value_type = Vec<String>)]
    scopes: BTreeSet<Scope>,
    #[schema(value_type = String)]
    mode: Mode,
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
}

/// A key that works no more.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Revoked {
    key_id: String,
    last4: String,
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    revoked_at: DateTime<Utc>,
}

/// Issues a key, and shows it this once. The same request sent again issues no other key and answers the same
/// `keyId`, with `key: null` and `secretShown: true`.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/keys",
    tag = "operator",
    params(
        ("id" = String, Path, description = "org_…"),
        ("Idempotency-Key" = String, Header, description = "Your name for this request"),
    ),
    request_body = NewKey,
    responses((status = 201, body = Issued), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn issue(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    intent: Intent<NewKey>,
) -> Result<Reply, ApiError> {
    let moment = operator.call.moment;
    let NewKey { mode, scopes, description } = intent.body;
    let scopes = scopes.unwrap_or_else(Scope::default_scopes);
    if scopes.is_empty() {
        return Err(ApiError::field("scopes", "must name at least one scope, or be left out"));
    }
    let org = super::organisation(id)?;
    app.settings.organisation(org).await?.ok_or(super::NO_ORGANISATION)?;
    let claims = ClaimsOf::Account(AccountId { org, mode });
    let claim = ClaimKey::Operator(intent.key);
    let made = app.ledger.claim_once(claims, &claim, &intent.fingerprint, moment).await?;
    let secret = Secret::for_organisation(mode, secret_bytes()?);
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
    // The first sending that arrives here issues the key; every other finds it issued.
    let known = app.settings.issue_key(org, &secret, &wanted).await?;
    let key = known.is_none().then(|| secret.reveal().to_owned());
    let ApiKey { key_id, last4, scopes, mode, created_at, .. } = known.unwrap_or(wanted);
    let secret_shown = key.is_none();
    let issued = Issued { key_id: key_id.to_string(), key, secret_shown, last4, scopes, mode, created_at };
    Reply::created(&issued, secret_shown)
}

/// Revokes a key. Functions that have seen it go by what they know for up to a minute.
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
    Path((id, key)): Path<(String, String)>,
    _: OnceOptional<NoFields>,
) -> Result<Reply, ApiError> {
    let unknown = || ApiError::NotFound("the organisation has no such key");
    let org = super::organisation(id)?;
    let key = KeyId::try_from(key).map_err(|_| unknown())?;
    let now = operator.call.moment.now;
    let key = app.settings.revoke(org, key, now).await?.ok_or_else(unknown)?;
    let revoked = Revoked {
        key_id: key.key_id.to_string(),
        last4: key.last4,
        revoked_at: key.revoked_at.unwrap_or(now),
    };
    Reply::ok(&revoked)
}
