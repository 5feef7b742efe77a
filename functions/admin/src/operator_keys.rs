//! Keys of operators, each with a role.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use domain::{AllowedIps, ApiKey, ApiKeyChange, ApiKeySecret, KeyId, OperatorRole, Reference};
use scrip_http::{
    ApiError, App, ExpiryField, Id, Instant, KeyView, NoFields, Once, Operator, OptionalBody, PathId,
    QueryParams, Reply, RollOptions, WithSecret, changed_key, duty, issued_key, rolled_key,
};
use serde::{Deserialize, Serialize};
use store::{ListedKey, Roll, RolledSecrets, secret_bytes};
use utoipa::ToSchema;

use super::keys::{KeysQuery, page_of_keys};

/// An operator's key.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = OperatorKey)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperatorKeyView {
    #[serde(flatten)]
    key: KeyView,
    /// read, support, money, catalogue or owner.
    #[schema(value_type = String)]
    role: OperatorRole,
}

/// An operator's key to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "name": "Jo, support", "role": "support" }))]
pub(super) struct NewOperatorKey {
    /// Whose key it is.
    #[schema(value_type = String, max_length = 255)]
    name: Reference,
    /// What the key may do: `read` reads; `support` also helps customers (organisations, keys, freezes, refunds of debits);
    /// `money` also moves credits and money; `catalogue` reads, and changes the catalogue; `owner` does everything, also
    /// with operators' keys. `read` if left out.
    #[schema(value_type = Option<String>)]
    role: Option<OperatorRole>,
    /// From when the key is refused; left out for a key without an end.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Instant>,
    /// The addresses and ranges from which the key may be used, at most 20; left out for all.
    #[schema(value_type = Option<Vec<String>>)]
    allowed_ips: Option<AllowedIps>,
}

/// A change of an operator's key. Fields that are left out keep their values.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "role": "money" }))]
pub(super) struct OperatorKeyChanges {
    /// Whose key it is.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Reference>,
    /// What the key may do.
    #[schema(value_type = Option<String>)]
    role: Option<OperatorRole>,
    /// From when the key is refused; `never` removes the end.
    #[schema(value_type = Option<String>)]
    expires_at: Option<ExpiryField>,
    /// The addresses and ranges from which the key may be used, at most 20; an empty list admits all.
    #[schema(value_type = Option<Vec<String>>)]
    allowed_ips: Option<AllowedIps>,
}

/// Lists the operators' keys, the newest first, also expired and revoked ones.
#[utoipa::path(get, path = "/admin/v1/operator-keys", tag = "operator", params(KeysQuery), responses((status = 200, body = Vec<OperatorKeyView>)))]
pub(super) async fn list_operator_keys(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Operators>,
    QueryParams(query): QueryParams<KeysQuery>,
) -> Result<Reply, ApiError> {
    let now = operator.call.moment.now;
    page_of_keys(&app, None, query, |listed| OperatorKeyView::of(listed, now)).await
}

/// Creates an operator's key, which is shown once.
#[utoipa::path(
    post,
    path = "/admin/v1/operator-keys",
    tag = "operator",
    request_body = NewOperatorKey,
    responses(
        (status = 201, body = WithSecret<OperatorKeyView>),
        (status = 409, description = "CONFLICT: there are 1,000 operators' keys; revoke some that are not used"),
    ),
)]
pub(super) async fn create_operator_key(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Operators>,
    Once { body, id }: Once<NewOperatorKey>,
) -> Result<Reply, ApiError> {
    let now = operator.call.moment.now;
    let expires_at = ExpiryField(body.expires_at.map(|Instant(end)| end)).after(now)?;
    let secret = ApiKeySecret::for_operator(secret_bytes()?);
    let wanted = ApiKey {
        name: Some(body.name),
        role: Some(body.role.unwrap_or(OperatorRole::Read)),
        created_by: Some(operator.key.into()),
        expires_at,
        allowed_ips: body.allowed_ips.unwrap_or_default(),
        ..ApiKey::new(KeyId::from(id), None, BTreeSet::new(), &secret, now)
    };
    let (key, is_new) = issued_key(app.settings.issue_unanswered(&secret, &wanted).await?)?;
    let view = OperatorKeyView::of(ListedKey { key, last_used: None, previous: None }, now);
    WithSecret::reply(view, Some(&secret).filter(|_| is_new))
}

/// Changes an operator's key. Functions notice it within 5 seconds. One owner's key without an end and a list of addresses always stays.
#[utoipa::path(
    patch,
    path = "/admin/v1/operator-keys/{id}",
    tag = "operator",
    params(("id" = String, Path, description = "key_…")),
    request_body = OperatorKeyChanges,
    responses(
        (status = 200, body = OperatorKeyView),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the key was revoked, or it is the last owner's key without an end and a list of addresses"),
    ),
)]
pub(super) async fn change_operator_key(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Operators>,
    Path(id): Path<Id<KeyId>>,
    Once { body, .. }: Once<OperatorKeyChanges>,
) -> Result<Reply, ApiError> {
    let (id, now) = (id.found()?, operator.call.moment.now);
    let known = app.settings.issued_key(None, id).await?.ok_or(KeyId::NOT_FOUND)?;
    operator.call.was(&OperatorKeyView::of(known.clone(), now))?;
    let change = ApiKeyChange {
        name: body.name,
        scopes: None,
        role: body.role,
        expires_at: body.expires_at.map(|end| end.after(now)).transpose()?,
        allowed_ips: body.allowed_ips,
        rate_limit: None,
    };
    let key = changed_key(app.settings.change_key(None, id, &change, |_| Ok(())).await?)?;
    Reply::ok(&OperatorKeyView::of(ListedKey { key, ..known }, now))
}

/// Gives an operator's key a new secret, which is shown once. The previous secret is accepted for
/// `graceSeconds` more.
#[utoipa::path(
    post,
    path = "/admin/v1/operator-keys/{id}/roll",
    tag = "operator",
    params(("id" = String, Path, description = "key_…")),
    request_body(content = Option<RollOptions>, description = "Optional"),
    responses(
        (status = 201, body = WithSecret<OperatorKeyView>),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the key was revoked"),
    ),
)]
pub(super) async fn roll_operator_key(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Operators>,
    Path(key): Path<Id<KeyId>>,
    OptionalBody(Once { body, id }): OptionalBody<RollOptions>,
) -> Result<Reply, ApiError> {
    let (key, now) = (key.found()?, operator.call.moment.now);
    let until = body.until(now)?;
    let secret = ApiKeySecret::for_operator(secret_bytes()?);
    let roll = Roll { request: id, secret: &secret, until, now };
    let rolled = app.settings.roll_key(None, key, roll, |_| Ok(())).await?;
    let (RolledSecrets { key, previous }, is_new) = rolled_key(rolled)?;
    let view = OperatorKeyView::of(ListedKey { key, last_used: None, previous }, now);
    WithSecret::reply(view, Some(&secret).filter(|_| is_new))
}

/// Revokes an operator's key. Functions notice it within 5 seconds. The last owner's key without an end and a list of addresses stays.
#[utoipa::path(
    delete,
    path = "/admin/v1/operator-keys/{id}",
    tag = "operator",
    params(("id" = String, Path, description = "key_…")),
    responses(
        (status = 200, body = OperatorKeyView),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: it is the last owner's key without an end and a list of addresses"),
    ),
)]
pub(super) async fn revoke_operator_key(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Operators>,
    Path(id): Path<Id<KeyId>>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    let (id, now) = (id.found()?, operator.call.moment.now);
    let known = app.settings.issued_key(None, id).await?.ok_or(KeyId::NOT_FOUND)?;
    operator.call.was(&OperatorKeyView::of(known.clone(), now))?;
    let key = changed_key(app.settings.revoke(None, id, now).await?)?;
    Reply::ok(&OperatorKeyView::of(ListedKey { key, ..known }, now))
}

impl OperatorKeyView {
    /// A key as it is at `now`.
    pub(super) fn of(listed: ListedKey, now: DateTime<Utc>) -> Self {
        Self { role: listed.key.operator_role(), key: KeyView::of(listed, now) }
    }
}
