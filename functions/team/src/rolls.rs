//! New secrets of API keys.

use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::TimeDelta;
use domain::{ApiKey, ApiKeyAction, ApiKeySecret, KeyId};
use scrip_http::{
    ApiError, ApiKeyView, App, Caller, Id, IssuedApiKey, Once, OptionalBody, PathId, Reply, may,
};
use serde::Deserialize;
use store::{ListedKey, Roll, RolledKey, RolledSecrets, secret_bytes};
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
    let (account, moment, now) = (caller.account, caller.call.moment, caller.call.arrived_at());
    let grace = grace_seconds.unwrap_or(GRACE_SECONDS);
    if GRACE_SECONDS_MAX < grace {
        return Err(ApiError::field("graceSeconds", "must be a whole number from 0 to 604800"));
    }
    let known = find(&app, account, path).await?;
    let secret = ApiKeySecret::for_organisation(known.key.mode, secret_bytes()?);
    let until = now.checked_add_signed(TimeDelta::seconds(grace.into())).unwrap_or(now);
    let roll = Roll { request: id, secret: &secret, until, now };
    let may = |key: &ApiKey| key.is_within(caller.scopes());
    let (rolled, is_new) = match app.settings.roll_key(Some(account.org), known.key.key_id, roll, may).await?
    {
        RolledKey::Rolled(rolled) => (*rolled, true),
        RolledKey::Before(key) => (RolledSecrets { key: *key, previous: None }, false),
        RolledKey::Revoked => return Err(REVOKED),
        RolledKey::Denied(denial) => return Err(denial.into()),
        RolledKey::Absent => return Err(KeyId::NOT_FOUND),
    };
    let RolledSecrets { key, previous } = rolled;
    let rolled = notice(&key, caller.key, ApiKeyAction::Rolled(id));
    app.ledger.emit(ledger_of(account, &key), &rolled, moment).await?;
    let listed = ListedKey { key, last_used: known.last_used, previous };
    IssuedApiKey::reply(ApiKeyView::of(listed, now), Some(&secret).filter(|_| is_new))
}
