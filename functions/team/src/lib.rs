//! Who may act for an organisation: its API keys, `/api/v3/api-keys`; its members, `/api/v3/members`; and invitations,
//! `/api/v3/invitations`.

mod api_keys;
mod invitations;
mod mails;
mod members;
mod resume;
mod rolls;

use std::sync::Arc;

use domain::{AccountId, Actor, ApiKey, ApiKeyAction, ApiKeyNotice, KeyId, Mode, Notification};
use scrip_http::{ApiError, App, Id, PathId};
use store::ListedKey;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(api_keys::list_api_keys, api_keys::create_api_key))
        .routes(routes!(api_keys::read_api_key, api_keys::change_api_key, api_keys::revoke_api_key))
        .routes(routes!(rolls::roll_api_key))
        .routes(routes!(resume::resume_api_key))
        .routes(routes!(invitations::list_invitations, invitations::invite_member))
        .routes(routes!(invitations::withdraw_invitation))
        .routes(routes!(invitations::accept_invitation))
        .routes(routes!(members::list_members))
        .routes(routes!(members::read_seats))
        .routes(routes!(members::read_member, members::change_member, members::remove_member))
}

/// A key that the caller may see.
async fn find(app: &App, caller: AccountId, id: Id<KeyId>) -> Result<ListedKey, ApiError> {
    let found = app.settings.issued_key(Some(caller.org), id.found()?).await?;
    found.filter(|found| may_see(caller, found.key.mode)).ok_or(KeyId::NOT_FOUND)
}

/// Whether a caller may see keys of a mode. A test key is given to more people than a live one, so it sees test keys only.
fn may_see(caller: AccountId, mode: Mode) -> bool {
    caller.mode == Mode::Live || mode == Mode::Test
}

/// The ledger in whose feed the events of a key are.
fn ledger_of(caller: AccountId, key: &ApiKey) -> AccountId {
    AccountId { mode: key.mode, ..caller }
}

/// The event about something that was done with a key.
fn notice(key: &ApiKey, by: Actor, action: ApiKeyAction) -> Notification {
    Notification::ApiKey(Box::new(ApiKeyNotice { key: key.clone(), by, action }))
}
