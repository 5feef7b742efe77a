//! Sessions of operators, and their links: as those of organisations, below `/admin/v1`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use domain::SessionId;
use scrip_http::{
    ApiError, App, Id, JsonBody, NoFields, Operator, OptionalBody, Reply, RequestContext, SignedIn, duty,
};

use super::links::{SignInLinkView, own_link};
use super::response::{SessionLine, SessionView, SignedOut};
use super::sign_in::{Credentials, Place, begin};
use super::sign_out;

/// Begins a session with an operator's key, or with a link, which works once. The answer sets the session's cookie.
#[utoipa::path(
    post,
    path = "/admin/v1/sessions",
    tag = "sessions",
    operation_id = "operator_sign_in",
    security(),
    request_body = Credentials,
    responses(
        (status = 201, body = SessionView),
        (status = 401, description = "INVALID_API_KEY, EXPIRED_API_KEY; INVALID_SIGN_IN_LINK: the link was used, or has ended"),
        (status = 403, description = "INSUFFICIENT_PERMISSIONS: not an operator's key, or an address from which the key may not be used"),
    ),
)]
pub(super) async fn sign_in(
    State(app): State<Arc<App>>,
    call: RequestContext,
    headers: HeaderMap,
    JsonBody(credentials): JsonBody<Credentials>,
) -> Result<Reply, ApiError> {
    begin(&app, &call, &headers, credentials, Place::Operators).await
}

/// Lists the open sessions of the operator's key, the newest first.
#[utoipa::path(get, path = "/admin/v1/sessions", tag = "sessions", operation_id = "list_operator_sessions", responses((status = 200, body = Vec<SessionLine>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Reading>,
    signed_in: SignedIn,
) -> Result<Reply, ApiError> {
    sign_out::list(&app, &operator.call, &signed_in).await
}

/// Reads the session of the request, with its `csrfToken`.
#[utoipa::path(
    get,
    path = "/admin/v1/sessions/current",
    tag = "sessions",
    operation_id = "read_current_operator_session",
    responses(
        (status = 200, body = SessionView),
        (status = 404, description = "NOT_FOUND: the request was made with an API key"),
    ),
)]
pub(super) async fn read_current(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Reading>,
    signed_in: SignedIn,
) -> Result<Reply, ApiError> {
    sign_out::read(&app, &operator.call, signed_in).await
}

/// Signs out: ends the session of the request, and removes its cookie.
#[utoipa::path(
    delete,
    path = "/admin/v1/sessions/current",
    tag = "sessions",
    operation_id = "operator_sign_out",
    responses(
        (status = 200, body = SignedOut),
        (status = 404, description = "NOT_FOUND: the request was made with an API key"),
    ),
)]
pub(super) async fn sign_out(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Reading>,
    signed_in: SignedIn,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    sign_out::end_current(&app, &operator.call, &signed_in).await
}

/// Ends a session of the operator's key.
#[utoipa::path(
    delete,
    path = "/admin/v1/sessions/{id}",
    tag = "sessions",
    operation_id = "end_operator_session",
    params(("id" = String, Path, description = "ses_…")),
    responses((status = 200, body = SignedOut), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn end_session(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Reading>,
    signed_in: SignedIn,
    Path(id): Path<Id<SessionId>>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    sign_out::end(&app, &operator.call, signed_in.owner, id).await
}

/// Signs out everywhere: ends all sessions of the operator's key, and takes back the links that were not used.
#[utoipa::path(delete, path = "/admin/v1/sessions", tag = "sessions", operation_id = "operator_sign_out_everywhere", responses((status = 200, body = SignedOut)))]
pub(super) async fn sign_out_everywhere(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Reading>,
    signed_in: SignedIn,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    sign_out::end_all(&app, &operator.call, signed_in.owner).await
}

/// Makes a link with which a browser signs in as this operator, once, within 15 minutes.
#[utoipa::path(
    post,
    path = "/admin/v1/sign-in-links",
    tag = "sessions",
    operation_id = "create_operator_sign_in_link",
    responses((status = 201, body = SignInLinkView)),
)]
pub(super) async fn create_link(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Reading>,
    signed_in: SignedIn,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    own_link(&app, &operator.call, &signed_in).await
}
