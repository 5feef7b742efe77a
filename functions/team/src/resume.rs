//! Paused API keys, resumed by the organisation itself.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{ApiKey, KeyId, Notification, RunawayNotice};
use scrip_http::{ApiError, ApiKeyView, App, Caller, Id, NoFields, OptionalBody, Reply, changed_key, may};
use store::ListedKey;

use super::{find, ledger_of};

/// Resumes an API key that was paused because it spent far more than it used to. It is not paused again for 24 hours. Your
/// own key needs every scope of the key, and is another one: a paused key resumes nothing. Other functions notice it within 5
/// seconds. A key that is not paused stays as it is.
#[utoipa::path(
    post,
    path = "/api/v3/api-keys/{id}/resume",
    tag = "team",
    params(("id" = String, Path, description = "key_…")),
    responses(
        (status = 200, body = ApiKeyView),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the key was revoked"),
    ),
)]
pub(super) async fn resume_api_key(
    State(app): State<Arc<App>>,
    caller: Caller<may::ManageTeam>,
    Path(id): Path<Id<KeyId>>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    let (account, moment, now) = (caller.account, caller.call.moment, caller.call.arrived_at());
    let ListedKey { key, last_used, previous } = find(&app, account, id).await?;
    let may = |key: &ApiKey| key.is_within(caller.scopes());
    let key = changed_key(app.settings.resume_key(account.org, key.key_id, now, may).await?)?;
    // Also where an earlier attempt has resumed it: its event may not be sent.
    if let Some(pause) = key.last_pause.filter(|_| key.was_resumed(now)) {
        let resumed = RunawayNotice::Resumed { key: key.clone().into(), pause, by: caller.by };
        let resumed = Notification::Runaway(resumed.into());
        app.ledger.emit(ledger_of(account, &key), &resumed, moment).await?;
    }
    Reply::ok(&ApiKeyView::of(ListedKey { key, last_used, previous }, now))
}
