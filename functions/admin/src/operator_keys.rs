//! Keys of operators, each with a role.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use domain::{AllowedIps, ApiKey, ApiKeyChange, ApiKeySecret, KeyId, KeyStatus, OperatorRole, Reference};
use scrip_http::{
    ApiError, App, ExpiryField, Id, Instant, NoFields, Once, Operator, OptionalBody, PathId, PreviousSecret,
    QueryParams, Reply, duty, timestamp,
};
use serde::{Deserialize, Serialize};
use store::{ChangedKey, IssuedKey, ListedKey, Roll, RolledKey, RolledSecrets, secret_bytes};
use utoipa::ToSchema;

use super::keys::{KeysQuery, page_of_keys};

/// The longest time for which the previous secret is accepted: a week.
const GRACE_SECONDS_MAX: u32 = 604_800;

/// The time for which the previous secret is accepted if the caller names none: an hour, so that the caller can
/// roll it again if the answer is lost.
const GRACE_SECONDS: u32 = 3_600;

/// An operator's key.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = OperatorKey)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperatorKeyView {
    /// `key_…`, `superAdmin` in transactions.
    key_id: String,
    /// Whose key it is.
    name: Option<String>,
    /// read, support, money, catalogue or owner.
    #[schema(value_type = String)]
    role: OperatorRole,
    /// The last four characters of the key.
    last4: String,
    /// active; expired: `expiresAt` has passed; revoked.
    #[schema(value_type = String)]
    status: KeyStatus,
    /// When the key was created.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    /// The id of the key that created it; null for a key of the first start.
    created_by: Option<String>,
    /// From when the key is refused; null for a key without an end.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<DateTime<Utc>>,
    /// When the key was revoked.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<DateTime<Utc>>,
    /// The day (UTC) on which the key was last used; null if it was never used.
    #[schema(value_type = Option<String>, format = Date)]
    last_used_at: Option<NaiveDate>,
    /// The addresses and ranges from which the key may be used; empty for all.
    #[schema(value_type = Vec<String>)]
    allowed_ips: AllowedIps,
    /// The key's previous secret while it is accepted after a roll; else null.
    previous_secret: Option<PreviousSecret>,
}

/// An operator's key with its secret, which is shown once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct IssuedOperatorKey {
    #[serde(flatten)]
    about: OperatorKeyView,
    /// The key itself. Keep it: only its hash is stored. Null if an earlier answer has shown it.
    key: Option<String>,
    /// true if the key was shown before and is not shown again. Left out if the key is shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    secret_shown: bool,
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

/// How an operator's key is rolled.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "graceSeconds": 3600 }))]
pub(super) struct OperatorRoll {
    /// For how many seconds the previous secret is still accepted, 0 to 604800; an hour if left out. Send 0 if the key may
    /// have leaked.
    #[schema(maximum = 604_800)]
    grace_seconds: Option<u32>,
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
        (status = 201, body = IssuedOperatorKey),
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
        created_by: Some(operator.key),
        expires_at,
        allowed_ips: body.allowed_ips.unwrap_or_default(),
        ..ApiKey::new(KeyId::from(id), None, BTreeSet::new(), &secret, now)
    };
    let (key, secret) = match app.settings.issue_key(&secret, &wanted).await? {
        IssuedKey::New => (wanted, Some(secret)),
        IssuedKey::Known(known) => match app.settings.reissue_key(&secret, &known).await? {
            Some(key) => (key, Some(secret)),
            None => (*known, None),
        },
        IssuedKey::TooMany => {
            return Err(ApiError::Conflict("there are 1,000 operators' keys; revoke some that are not used"));
        }
    };
    shown(OperatorKeyView::of(ListedKey { key, last_used: None, previous: None }, now), secret.as_ref())
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
    let key = changed(app.settings.change_key(None, id, &change, |_| Ok(())).await?)?;
    Reply::ok(&OperatorKeyView::of(ListedKey { key, ..known }, now))
}

/// Gives an operator's key a new secret, which is shown once. The previous secret is accepted for
/// `graceSeconds` more.
#[utoipa::path(
    post,
    path = "/admin/v1/operator-keys/{id}/roll",
    tag = "operator",
    params(("id" = String, Path, description = "key_…")),
    request_body(content = Option<OperatorRoll>, description = "Optional"),
    responses(
        (status = 201, body = IssuedOperatorKey),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the key was revoked"),
    ),
)]
pub(super) async fn roll_operator_key(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Operators>,
    Path(key): Path<Id<KeyId>>,
    OptionalBody(Once { body: OperatorRoll { grace_seconds }, id }): OptionalBody<OperatorRoll>,
) -> Result<Reply, ApiError> {
    let now = operator.call.moment.now;
    let grace_seconds = grace_seconds.unwrap_or(GRACE_SECONDS);
    if GRACE_SECONDS_MAX < grace_seconds {
        return Err(ApiError::field("graceSeconds", "must be a whole number from 0 to 604800"));
    }
    let secret = ApiKeySecret::for_operator(secret_bytes()?);
    let until = now.checked_add_signed(TimeDelta::seconds(grace_seconds.into())).unwrap_or(now);
    let roll = Roll { request: id, secret: &secret, until, now };
    let (rolled, is_new) = match app.settings.roll_key(None, key.found()?, roll, |_| Ok(())).await? {
        RolledKey::Rolled(rolled) => (*rolled, true),
        RolledKey::Before(key) => (RolledSecrets { key: *key, previous: None }, false),
        RolledKey::Revoked => return Err(REVOKED),
        RolledKey::Denied(denial) => return Err(denial.into()),
        RolledKey::Absent => return Err(KeyId::NOT_FOUND),
    };
    let RolledSecrets { key, previous } = rolled;
    let view = OperatorKeyView::of(ListedKey { key, last_used: None, previous }, now);
    shown(view, Some(&secret).filter(|_| is_new))
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
    let key = changed(app.settings.revoke(None, id, now).await?)?;
    Reply::ok(&OperatorKeyView::of(ListedKey { key, ..known }, now))
}

const REVOKED: ApiError = ApiError::Conflict("this key was revoked, and stays so; create another one");

/// The key after a change of it.
fn changed(outcome: ChangedKey) -> Result<ApiKey, ApiError> {
    match outcome {
        ChangedKey::Changed(key) => Ok(*key),
        ChangedKey::Revoked => Err(REVOKED),
        ChangedKey::Denied(denial) => Err(denial.into()),
        ChangedKey::LastOwner => Err(ApiError::Conflict(
            "this is the last owner's key without an end and a list of addresses; create another one with the role `owner` first",
        )),
        ChangedKey::Absent => Err(KeyId::NOT_FOUND),
    }
}

/// The answer that shows a key's secret, whose retries do not.
fn shown(about: OperatorKeyView, secret: Option<&ApiKeySecret>) -> Result<Reply, ApiError> {
    let again = IssuedOperatorKey { about: about.clone(), key: None, secret_shown: true };
    let Some(secret) = secret else { return Reply::created(&again, true) };
    let shown = IssuedOperatorKey { about, key: Some(secret.reveal().to_owned()), secret_shown: false };
    Reply::created(&shown, false)?.shown_once(&again)
}

impl OperatorKeyView {
    /// A key as it is at `now`.
    pub(super) fn of(listed: ListedKey, now: DateTime<Utc>) -> Self {
        let ListedKey { key, last_used, previous } = listed;
        Self {
            previous_secret: PreviousSecret::of(&key, previous, now),
            key_id: key.key_id.to_string(),
            role: key.operator_role(),
            status: key.status(now),
            name: key.name.map(|name| name.as_str().to_owned()),
            last4: key.last4,
            created_at: key.created_at,
            created_by: key.created_by.map(|by| by.to_string()),
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: last_used,
            allowed_ips: key.allowed_ips,
        }
    }
}
