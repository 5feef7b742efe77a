//! One's own sessions: listed and ended.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{SessionId, SignInOwner};
use scrip_http::{
    ApiError, App, Caller, CurrentSession, Id, NoFields, OptionalBody, PathId, Reply, RequestContext,
    SignedIn, may,
};

use super::response::{SessionLine, SessionView, SignedOut};

/// Lists the open sessions of the member or the key that calls, the newest first.
#[utoipa::path(get, path = "/api/v3/sessions", tag = "sessions", responses((status = 200, body = Vec<SessionLine>)))]
pub(super) async fn list_sessions(
    State(app): State<Arc<App>>,
    caller: Caller<may::SignOut>,
    signed_in: SignedIn,
) -> Result<Reply, ApiError> {
    list(&app, &caller.call, &signed_in).await
}

/// Reads the session of the request, with its `csrfToken`.
#[utoipa::path(
    get,
    path = "/api/v3/sessions/current",
    tag = "sessions",
    responses(
        (status = 200, body = SessionView),
        (status = 404, description = "NOT_FOUND: the request was made with an API key"),
    ),
)]
pub(super) async fn read_current_session(
    State(app): State<Arc<App>>,
    caller: Caller<may::SignOut>,
    signed_in: SignedIn,
) -> Result<Reply, ApiError> {
    read(&app, &caller.call, signed_in).await
}

/// Signs out: ends the session of the request, and removes its cookie.
#[utoipa::path(
    delete,
    path = "/api/v3/sessions/current",
    tag = "sessions",
    responses(
        (status = 200, body = SignedOut),
        (status = 404, description = "NOT_FOUND: the request was made with an API key"),
    ),
)]
pub(super) async fn sign_out(
    State(app): State<Arc<App>>,
    caller: Caller<may::SignOut>,
    signed_in: SignedIn,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    end_current(&app, &caller.call, &signed_in).await
}

/// Ends one of your own sessions. A session that has ended stays so.
#[utoipa::path(
    delete,
    path = "/api/v3/sessions/{id}",
    tag = "sessions",
    params(("id" = String, Path, description = "ses_…")),
    responses((status = 200, body = SignedOut), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn end_session(
    State(app): State<Arc<App>>,
    caller: Caller<may::SignOut>,
    signed_in: SignedIn,
    Path(id): Path<Id<SessionId>>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    end(&app, &caller.call, signed_in.owner, id).await
}

/// Signs out everywhere: ends all sessions of the member or the key that calls, and takes back the links that were not used.
/// Other functions notice it within five seconds.
#[utoipa::path(delete, path = "/api/v3/sessions", tag = "sessions", responses((status = 200, body = SignedOut)))]
pub(super) async fn sign_out_everywhere(
    State(app): State<Arc<App>>,
    caller: Caller<may::SignOut>,
    signed_in: SignedIn,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    end_all(&app, &caller.call, signed_in.owner).await
}

pub(super) async fn list(app: &App, call: &RequestContext, signed_in: &SignedIn) -> Result<Reply, ApiError> {
    let known = app.settings.sign_ins(signed_in.owner).await?;
    let line = |session| SessionLine::of(session, signed_in.session.as_ref());
    let lines: Vec<_> = known.sessions(call.arrived_at()).map(line).collect();
    Reply::ok(&lines)
}

pub(super) async fn read(app: &App, call: &RequestContext, signed_in: SignedIn) -> Result<Reply, ApiError> {
    let CurrentSession { token, session, owner } = signed_in.session.ok_or(NO_SESSION)?;
    Reply::ok(&SessionView::of(app, &token, &session, &owner, call.moment).await?)
}

pub(super) async fn end_current(
    app: &App,
    call: &RequestContext,
    signed_in: &SignedIn,
) -> Result<Reply, ApiError> {
    let session = signed_in.session.as_ref().ok_or(NO_SESSION)?;
    app.settings.end_session(signed_in.owner, session.session.id, call.moment).await?;
    Ok(SignedOut::reply(1)?.signs_out(signed_in.owner, app))
}

pub(super) async fn end(
    app: &App,
    call: &RequestContext,
    owner: SignInOwner,
    id: Id<SessionId>,
) -> Result<Reply, ApiError> {
    match app.settings.end_session(owner, id.found()?, call.moment).await? {
        true => SignedOut::reply(1),
        false => Err(SessionId::NOT_FOUND),
    }
}

pub(super) async fn end_all(app: &App, call: &RequestContext, owner: SignInOwner) -> Result<Reply, ApiError> {
    let known = app.settings.sign_ins(owner).await?;
    app.settings.end_sessions(owner, call.moment).await?;
    Ok(SignedOut::reply(known.sessions(call.arrived_at()).count())?.signs_out(owner, app))
}

const NO_SESSION: ApiError = ApiError::NotFound("this request has no session; it was made with an API key");
