//! API keys of organisations.

use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use domain::{AccountId, ApiKeySecret, ClaimKey, EntryId, KeyId, OrgId};
use scrip_http::{
    ApiError, ApiKeyView, App, Id, IdempotencyHeader, Idempotent, KeyOrigin, NewApiKey, NoFields, Operator,
    OptionalBody, PageLimit, PathId, QueryParams, Reply, WithSecret, changed_key, duty, issued_key,
    timestamp,
};
use serde::{Deserialize, Serialize};
use store::{ClaimsOf, ListedKey, secret_bytes};
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KeysQuery {
    /// Keys on a page, 1 to 100; 20 if left out.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<20, 100>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
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
    request_body = NewApiKey,
    responses(
        (status = 201, body = WithSecret<ApiKeyView>),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the organisation has 1,000 keys; revoke some that are not used"),
    ),
)]
pub(super) async fn issue(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Customers>,
    Path(org): Path<Id<OrgId>>,
    intent: Idempotent<NewApiKey>,
) -> Result<Reply, ApiError> {
    let moment = operator.call.moment;
    let (org, mode) = (org.found()?, intent.body.mode());
    app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    let secret = ApiKeySecret::for_organisation(mode, secret_bytes()?);
    // What is wrong with the request is said before its key is claimed.
    let origin = |request, at| KeyOrigin { by: operator.key.into(), request, at };
    intent
        .body
        .clone()
        .key(org, &secret, origin(EntryId::FIRST, moment.now))?
        .is_within(&operator.role.scopes())?;
    let claims = ClaimsOf::Account(AccountId { org, mode });
    let claim = ClaimKey::Operator(intent.key);
    let made = app.ledger.claim_once(claims, &claim, &intent.fingerprint, moment).await?;
    let wanted = intent.body.key(org, &secret, origin(made.id, made.at))?;
    // The first attempt that gets here issues the key; every other one finds it issued.
    let (key, is_new) = issued_key(app.settings.issue_key(&secret, &wanted).await?)?;
    let listed = ListedKey { key, last_used: None, previous: None };
    WithSecret::reply(ApiKeyView::of(listed, moment.now), Some(&secret).filter(|_| is_new))
}

/// Lists the API keys of an organisation, the newest first, also expired and revoked ones.
#[utoipa::path(
    get,
    path = "/admin/v1/organisations/{id}/keys",
    tag = "operator",
    params(("id" = String, Path, description = "org_…"), KeysQuery),
    responses((status = 200, body = Vec<ApiKeyView>), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn list_keys(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Reading>,
    Path(org): Path<Id<OrgId>>,
    QueryParams(query): QueryParams<KeysQuery>,
) -> Result<Reply, ApiError> {
    let org = org.found()?;
    app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    let now = operator.call.moment.now;
    page_of_keys(&app, Some(org), query, |listed| ApiKeyView::of(listed, now)).await
}

/// A page of the keys of an organisation or, without one, of the operators. The cursor is the id of the page's last key.
pub(super) async fn page_of_keys<V: Serialize>(
    app: &App,
    owner: Option<OrgId>,
    query: KeysQuery,
    view: impl Fn(ListedKey) -> V,
) -> Result<Reply, ApiError> {
    let KeysQuery { limit, cursor } = query;
    let after = cursor.map(|text| KeyId::try_from(text).map_err(|_| ApiError::InvalidCursor)).transpose()?;
    let page = app.settings.issued_keys(owner, after, limit.get()).await?;
    let keys: Vec<_> = page.keys.into_iter().map(view).collect();
    Reply::page(&keys, page.next.map(|next| next.to_string()))
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
    operator: Operator<duty::Customers>,
    Path(path): Path<(Id<OrgId>, Id<KeyId>)>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    let (org, key) = (path.0.found()?, path.1.found()?);
    let now = operator.call.moment.now;
    let key = changed_key(app.settings.revoke(Some(org), key, now).await?)?;
    let revoked = Revoked {
        key_id: key.key_id.to_string(),
        last4: key.last4.clone(),
        revoked_at: key.revoked_at.unwrap_or(now),
    };
    Reply::ok(&revoked)
}
