//! Signing in: a session begins with a key or with a link.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, Method, Uri};
use domain::{Reference, SessionId, SignIn, SignInKind, SignInOwner, SignInToken};
use scrip_http::{
    ApiError, App, JsonBody, Reply, RequestContext, SigningIn, Unidentified, audit_sign_in, sign_in_with,
};
use serde::Deserialize;
use store::{KnownOwner, secret_bytes};
use utoipa::ToSchema;

use super::response::{SessionLine, SessionView};

/// How to sign in: with one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "link": "signin_m01M8M5YYK8…" }))]
pub(super) struct Credentials {
    /// An API key.
    key: Option<String>,
    /// The token of a link: what follows `#` in it.
    link: Option<String>,
}

/// Who may sign in at a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Organisations,
    Operators,
}

impl Place {
    fn admits(self, owner: SignInOwner) -> Result<(), ApiError> {
        match (self, owner.is_operator()) {
            (Self::Organisations, true) => {
                Err(ApiError::wrong_side("operators sign in with POST /admin/v1/sessions"))
            }
            (Self::Operators, false) => {
                Err(ApiError::wrong_side("only operators sign in here; use POST /api/v3/sessions"))
            }
            (Self::Organisations, false) | (Self::Operators, true) => Ok(()),
        }
    }
}

/// Begins a session with an API key, or with a link, which works once. The answer sets the session's cookie. A session with a
/// key may do what the key may; a member's, what the member's role allows. Send the answer's `csrfToken` in the header
/// `Scrip-CSRF-Token` with each request that changes something.
#[utoipa::path(
    post,
    path = "/api/v3/sessions",
    tag = "sessions",
    security(),
    request_body = Credentials,
    responses(
        (status = 201, body = SessionView),
        (status = 401, description = "INVALID_API_KEY, EXPIRED_API_KEY; INVALID_SIGN_IN_LINK: the link was used, or has ended"),
        (status = 403, description = "API_ACCESS_NOT_INCLUDED; INSUFFICIENT_PERMISSIONS: an operator's key, or an address from which the key may not be used; ORGANISATION_FROZEN: the organisation is closed"),
    ),
)]
pub(super) async fn sign_in(
    State(app): State<Arc<App>>,
    call: RequestContext,
    headers: HeaderMap,
    JsonBody(credentials): JsonBody<Credentials>,
) -> Result<Reply, ApiError> {
    begin(&app, &call, &headers, credentials, Place::Organisations).await
}

/// Begins a session at a place.
pub(super) async fn begin(
    app: &App,
    call: &RequestContext,
    headers: &HeaderMap,
    credentials: Credentials,
    place: Place,
) -> Result<Reply, ApiError> {
    let agent = agent(headers);
    let (token, session) = match (credentials.key, credentials.link) {
        (Some(key), None) => with_key(app, call, &key, agent, place).await?,
        (None, Some(link)) => with_link(app, call, &link, agent, place).await?,
        (None, None) | (Some(_), Some(_)) => {
            return Err(ApiError::field("key", "send either `key` or `link`"));
        }
    };
    // The owner is judged as for every later request, so a session that would be refused has no cookie.
    let known = scrip_http::resume_session(app, call, &token).await?;
    if let (Place::Operators, KnownOwner::Key(key)) = (place, &known) {
        audit_sign_in(app, call, &key.key, &Method::POST, &Uri::from_static("/admin/v1/sessions")).await?;
    }
    let view = SessionView::of(app, &token, &session, &known, call.moment).await?;
    // What is kept of the answer, in the audit log, has no `csrfToken`.
    let reply = Reply::created(&view, false)?.shown_once(&SessionLine::of(&session, None))?;
    Ok(reply.signs_in(&token, &session, call.arrived_at(), app))
}

async fn with_key(
    app: &App,
    call: &RequestContext,
    key: &str,
    agent: Option<Reference>,
    place: Place,
) -> Result<(SignInToken, SignIn), ApiError> {
    let SigningIn { owner, hash } = sign_in_with(app, call, key).await?;
    place.admits(owner)?;
    let token = token(SignInKind::Session, owner, call)?;
    let session = SignIn::session(&token, Some(hash), agent, call.arrived_at());
    app.settings.add_sign_in(owner, &session, call.moment).await?;
    Ok((token, session))
}

async fn with_link(
    app: &App,
    call: &RequestContext,
    link: &str,
    agent: Option<Reference>,
    place: Place,
) -> Result<(SignInToken, SignIn), ApiError> {
    let link = SignInToken::parse(SignInKind::Link, link).ok_or(Unidentified::LinkEnded)?;
    place.admits(link.owner)?;
    let token = SignInToken::new(SignInKind::Session, link.owner, link.id, secret_bytes()?);
    let begun = app.settings.use_link(&link, &token, agent.as_ref(), call.moment).await?;
    Ok((token, begun.ok_or(Unidentified::LinkEnded)?))
}

/// A new token of an owner.
pub(super) fn token(
    kind: SignInKind,
    owner: SignInOwner,
    call: &RequestContext,
) -> Result<SignInToken, ApiError> {
    let id = SessionId::new(call.arrived_at(), store::random());
    Ok(SignInToken::new(kind, owner, id, secret_bytes()?))
}

/// How the browser names itself, as far as it can be kept.
fn agent(headers: &HeaderMap) -> Option<Reference> {
    let agent: String = headers.get(USER_AGENT)?.to_str().ok()?.chars().take(255).collect();
    Reference::try_from(agent).ok()
}
