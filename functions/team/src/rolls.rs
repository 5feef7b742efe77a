//! New secrets of API keys.

use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::TimeDelta;
use domain::{ApiKeyAction, ApiKeySecret, KeyId};
use scrip_http::{
    ApiError, ApiKeyView, App, Caller, Id, IssuedApiKey, Once, OptionalBody, PathId, Reply, may,
};
use serde::Deserialize;
use store::{Roll, RolledKey, secret_bytes};
use utoipa::ToSchema;

use super::api_keys::REVOKED;
use super::{find, ledger_of, notice};

/// The longest time for which the previous secret is accepted: a week.
const GRACE_SECONDS_MAX: u32 = 604_800;

/// The time for which the previous secret is accepted if the caller names none: a day.
const GRACE_SECONDS: u32 = 86_400;

/// How a key is rolled.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "graceSeconds": 86400 }))]
pub(super) struct RollOptions {
    /// For how many seconds the previous secret is still accepted, 0 to 604800; a day if left out. Send 0 if the key may
    /// have leaked.
    #[schema(maximum = 604_800)]
    grace_seconds: Option<u32>,
}

/// Gives an API key a new secret, which is shown once. The key keeps its id, its terms and its history. The previous secret
/// is accepted for `graceSeconds` more; one that was rolled before ends at once. Your own key needs every scope of the key. A
/// retry of the request with the same `Idempotency-Key` rolls nothing, and answers `key: null` and `secretShown: true`.
#[utoipa::path(
    post,
    path = "/api/v3/api-keys/{id}/roll",
    tag = "team",
    params(("id" = String, Path, description = "key_…")),
    request_body(content = Option<RollOptions>, description = "Optional"),
    responses(
        (status = 201, body = IssuedApiKey),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the key was revoked"),
    ),
)]
pub(super) async fn roll_api_key(
    State(app): State<Arc<App>>,
    caller: Caller<may::ManageTeam>,
    Path(path): Path<Id<KeyId>>,
    OptionalBody(Once { body: RollOptions { grace_seconds }, id }): OptionalBody<RollOptions>,
) -> Result<Reply, ApiError> {
    let (account, moment) = (caller.account, caller.call.moment);
    let grace = grace_seconds.unwrap_or(GRACE_SECONDS);
    if GRACE_SECONDS_MAX < grace {
        return Err(ApiError::field("graceSeconds", "must be a whole number from 0 to 604800"));
    }
    let known = find(&app, account, path).await?.key;
    known.is_within(caller.scopes())?;
    let secret = ApiKeySecret::for_organisation(known.mode, secret_bytes()?);
    let until = moment.now.checked_add_signed(TimeDelta::seconds(grace.into())).unwrap_or(moment.now);
    let roll = Roll { request: id, secret: &secret, until };
    let (key, is_new) = match app.settings.roll_key(Some(account.org), known.key_id, roll, moment.now).await?
    {
        RolledKey::Rolled(key) => (key, true),
        RolledKey::Before(key) => (key, false),
        RolledKey::Revoked => return Err(REVOKED),
        RolledKey::Absent => return Err(KeyId::NOT_FOUND),
    };
    let rolled = notice(&key, caller.key, ApiKeyAction::Rolled(id));
    app.ledger.emit(ledger_of(account, &key), &rolled, moment).await?;
    let listed = app.settings.issued_key(Some(account.org), key.key_id).await?.ok_or(KeyId::NOT_FOUND)?;
    IssuedApiKey::reply(ApiKeyView::of(listed, moment.now), Some(&secret).filter(|_| is_new))
}
