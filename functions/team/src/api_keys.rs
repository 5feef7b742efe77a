//! API keys: created, listed, changed and revoked by the organisation itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{AllowedIps, ApiKey, ApiKeyAction, ApiKeyChange, ApiKeySecret, KeyId, Reference, Scope};
use scrip_http::{
    ApiError, ApiKeyView, App, Caller, ExpiryField, Id, KeyOrigin, Listing, NewApiKey, NoFields, Once,
    OptionalBody, PageLimit, QueryParams, RateLimitField, RateLimitView, Reply, WithSecret, changed_key,
    issued_key, may,
};
use serde::Deserialize;
use store::{ListedKey, secret_bytes};
use utoipa::{IntoParams, ToSchema};

use super::{find, ledger_of, may_see, notice};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ApiKeysQuery {
    /// Keys on a page, 1 to 100; 20 if left out. A page that a test key asks for may have fewer, because it leaves out live
    /// keys.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<20, 100>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// A change of a key. Fields that are left out keep their values.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "scopes": ["credits:read"], "expiresAt": "never", "allowedIps": [] }))]
pub(super) struct ApiKeyChanges {
    /// The key's name, for people.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Reference>,
    /// What the key may do: at least one scope, and only scopes that your own key has.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<BTreeSet<Scope>>,
    /// From when the key is refused; `never` removes the end.
    #[schema(value_type = Option<String>)]
    expires_at: Option<ExpiryField>,
    /// The addresses and ranges from which the key may be used, at most 20; an empty list admits all.
    #[schema(value_type = Option<Vec<String>>)]
    allowed_ips: Option<AllowedIps>,
    /// How many requests the key may make, `{requests, perSeconds}`; `none` removes the limit.
    #[schema(value_type = Option<RateLimitView>)]
    rate_limit: Option<RateLimitField>,
}

/// Lists the organisation's API keys, the newest first, also expired and revoked ones. Reads 2 units for each key of the
/// page at most.
#[utoipa::path(get, path = "/api/v3/api-keys", tag = "team", params(ApiKeysQuery), responses((status = 200, body = Vec<ApiKeyView>)))]
pub(super) async fn list_api_keys(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeTeam>,
    QueryParams(ApiKeysQuery { limit, cursor }): QueryParams<ApiKeysQuery>,
) -> Result<Reply, ApiError> {
    let (account, now) = (caller.account, caller.call.arrived_at());
    let listing = Listing { list: "api-keys", account, question: &() };
    let read = |text: String| {
        let after = app.cursors.read(&listing, &text)?;
        KeyId::try_from(after).map_err(|_| ApiError::InvalidCursor)
    };
    let after = cursor.map(read).transpose()?;
    let page = app.settings.issued_keys(Some(account.org), after, limit.get()).await?;
    let seen = page.keys.into_iter().filter(|listed| may_see(account, listed.key.mode));
    let keys: Vec<_> = seen.map(|listed| ApiKeyView::of(listed, now)).collect();
    let next = page.next.map(|next| app.cursors.write(&listing, &next.to_string())).transpose()?;
    Reply::page(&keys, next)
}

/// Creates an API key, which is shown once. It can only have scopes that your own key has. A test key creates test keys
/// only. An organisation has at most 1,000 keys that are not revoked.
#[utoipa::path(
    post,
    path = "/api/v3/api-keys",
    tag = "team",
    request_body = NewApiKey,
    responses(
        (status = 201, body = WithSecret<ApiKeyView>),
        (status = 409, description = "CONFLICT: the organisation has 1,000 keys; revoke some that are not used"),
    ),
)]
pub(super) async fn create_api_key(
    State(app): State<Arc<App>>,
    caller: Caller<may::ManageTeam>,
    Once { body, id }: Once<NewApiKey>,
) -> Result<Reply, ApiError> {
    let (account, moment) = (caller.account, caller.call.moment);
    let mode = body.mode();
    if !may_see(account, mode) {
        return Err(ApiError::wrong_side("a test key creates test keys only; use a live key"));
    }
    let secret = ApiKeySecret::for_organisation(mode, secret_bytes()?);
    let now = caller.call.arrived_at();
    let origin = KeyOrigin { by: caller.by, request: id, at: now };
    let wanted = body.key(account.org, &secret, origin)?;
    wanted.is_within(caller.scopes())?;
    let (key, is_new) = issued_key(app.settings.issue_unanswered(&secret, &wanted).await?)?;
    let created = notice(&key, caller.by, ApiKeyAction::Created);
    app.ledger.emit(ledger_of(account, &key), &created, moment).await?;
    let listed = ListedKey { key, last_used: None, previous: None };
    WithSecret::reply(ApiKeyView::of(listed, now), Some(&secret).filter(|_| is_new))
}

/// Reads an API key.
#[utoipa::path(
    get,
    path = "/api/v3/api-keys/{id}",
    tag = "team",
    params(("id" = String, Path, description = "key_…")),
    responses((status = 200, body = ApiKeyView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn read_api_key(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeTeam>,
    Path(id): Path<Id<KeyId>>,
) -> Result<Reply, ApiError> {
    let found = find(&app, caller.account, id).await?;
    Reply::ok(&ApiKeyView::of(found, caller.call.arrived_at()))
}

/// Changes an API key. Your own key needs every scope that the key has, before and after the change. Other functions
/// notice it within 5 seconds.
#[utoipa::path(
    patch,
    path = "/api/v3/api-keys/{id}",
    tag = "team",
    params(("id" = String, Path, description = "key_…")),
    request_body = ApiKeyChanges,
    responses(
        (status = 200, body = ApiKeyView),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the key was revoked"),
    ),
)]
pub(super) async fn change_api_key(
    State(app): State<Arc<App>>,
    caller: Caller<may::ManageTeam>,
    Path(path): Path<Id<KeyId>>,
    Once { body, id }: Once<ApiKeyChanges>,
) -> Result<Reply, ApiError> {
    let (account, moment, now) = (caller.account, caller.call.moment, caller.call.arrived_at());
    let ListedKey { key, last_used, previous } = find(&app, account, path).await?;
    if body.scopes.as_ref().is_some_and(BTreeSet::is_empty) {
        return Err(ApiError::field("scopes", "must name at least one scope; to end the key, delete it"));
    }
    let change = ApiKeyChange {
        name: body.name,
        scopes: body.scopes,
        role: None,
        expires_at: body.expires_at.map(|end| end.after(now)).transpose()?,
        allowed_ips: body.allowed_ips,
        rate_limit: body.rate_limit.map(|RateLimitField(limit)| limit),
    };
    let may = |key: &ApiKey| key.is_within(caller.scopes());
    let key = changed_key(app.settings.change_key(Some(account.org), key.key_id, &change, may).await?)?;
    if change != ApiKeyChange::default() {
        let notice = notice(&key, caller.by, ApiKeyAction::Changed(id));
        app.ledger.emit(ledger_of(account, &key), &notice, moment).await?;
    }
    Reply::ok(&ApiKeyView::of(ListedKey { key, last_used, previous }, now))
}

/// Revokes an API key at once, with both its secrets. Other functions notice it within 5 seconds. A revoked key stays in
/// the list.
#[utoipa::path(
    delete,
    path = "/api/v3/api-keys/{id}",
    tag = "team",
    params(("id" = String, Path, description = "key_…")),
    responses((status = 200, body = ApiKeyView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn revoke_api_key(
    State(app): State<Arc<App>>,
    caller: Caller<may::ManageTeam>,
    Path(id): Path<Id<KeyId>>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    let (account, moment, now) = (caller.account, caller.call.moment, caller.call.arrived_at());
    let ListedKey { key, last_used, .. } = find(&app, account, id).await?;
    let key = changed_key(app.settings.revoke(Some(account.org), key.key_id, now).await?)?;
    let revoked = notice(&key, caller.by, ApiKeyAction::Revoked);
    app.ledger.emit(ledger_of(account, &key), &revoked, moment).await?;
    Reply::ok(&ApiKeyView::of(ListedKey { key, last_used, previous: None }, now))
}
