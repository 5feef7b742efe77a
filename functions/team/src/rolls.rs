//! New secrets of API keys.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{ApiKey, ApiKeyAction, ApiKeySecret, KeyId};
use scrip_http::{
    ApiError, ApiKeyView, App, Caller, Id, Once, OptionalBody, Reply, RollOptions, WithSecret, may,
    rolled_key,
};
use store::{ListedKey, Roll, RolledSecrets, secret_bytes};

use super::{find, ledger_of, notice};

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
        (status = 201, body = WithSecret<ApiKeyView>),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the key was revoked"),
    ),
)]
pub(super) async fn roll_api_key(
    State(app): State<Arc<App>>,
    caller: Caller<may::ManageTeam>,
    Path(path): Path<Id<KeyId>>,
    OptionalBody(Once { body, id }): OptionalBody<RollOptions>,
) -> Result<Reply, ApiError> {
    let (account, moment, now) = (caller.account, caller.call.moment, caller.call.arrived_at());
    let until = body.until(now)?;
    let known = find(&app, account, path).await?;
    let secret = ApiKeySecret::for_organisation(known.key.mode, secret_bytes()?);
    let roll = Roll { request: id, secret: &secret, until, now };
    let may = |key: &ApiKey| key.is_within(caller.scopes());
    let rolled = app.settings.roll_key(Some(account.org), known.key.key_id, roll, may).await?;
    let (RolledSecrets { key, previous }, is_new) = rolled_key(rolled)?;
    let rolled = notice(&key, caller.by, ApiKeyAction::Rolled(id));
    app.ledger.emit(ledger_of(account, &key), &rolled, moment).await?;
    let listed = ListedKey { key, last_used: known.last_used, previous };
    WithSecret::reply(ApiKeyView::of(listed, now), Some(&secret).filter(|_| is_new))
}
