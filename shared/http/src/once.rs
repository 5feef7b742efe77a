//! Requests that change something other than credits, at most once for each idempotency key.

use std::error::Error;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::context::Ongoing;
use super::error::ApiErrorBody;
use super::idempotent::Target;
use super::unidentified::Unidentified;
use super::{ApiError, App, IdempotencyHeader, Reply, RequestContext, body};
use domain::{AccountId, ClaimKey, EntryId, Mode, OrgId, Principal};
use store::{ChangeAttempt, ChangeRequest, ChangeStart, ClaimsOf, Fault};

/// A request that changes something other than credits. It needs no `Idempotency-Key`. With a key it is carried out once:
/// a retry gets the first answer and changes nothing, however late it arrives, and another body under the same key is
/// refused (`IDEMPOTENCY_KEY_REUSED`).
///
/// The layer around every route keeps the answer, so the handler does nothing for it. Requests that move credits take an
/// [`Idempotent`](super::Idempotent), whose key the ledger claims.
#[derive(Debug)]
pub struct Once<T> {
    /// The body.
    pub body: T,
    /// The id of the request, the same for every attempt under one idempotency key.
    pub id: EntryId,
}

/// A [`Once`] request whose body may be left out.
#[derive(Debug)]
pub struct OptionalBody<T>(pub Once<T>);

/// A body without fields.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

/// Why the handler does not run.
#[derive(Debug)]
pub enum Unstarted {
    /// An earlier attempt was answered.
    Answered(Reply),
    /// The request is refused.
    Refused(ApiError),
}

/// An answer as it is stored.
#[derive(Serialize, Deserialize)]
struct KeptAnswer<'a> {
    status: u16,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl<T: DeserializeOwned + Send> FromRequest<Arc<App>> for Once<T> {
    type Rejection = Unstarted;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Unstarted> {
        let asked = IncomingChange::of(&request)?;
        let bytes = body::read(request, body::BODY_BYTES_MAX).await?;
        asked.begin(app, &bytes).await
    }
}

impl<T: DeserializeOwned + Send> FromRequest<Arc<App>> for OptionalBody<T> {
    type Rejection = Unstarted;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Unstarted> {
        let asked = IncomingChange::of(&request)?;
        let bytes = body::read_or_empty(request, body::BODY_BYTES_MAX).await?;
        asked.begin(app, &bytes).await.map(Self)
    }
}

/// What is known of a request before its body is read.
struct IncomingChange {
    target: Target,
    changes: ChangeRequest,
    call: RequestContext,
}

impl IncomingChange {
    fn of(request: &Request) -> Result<Self, ApiError> {
        let target = Target::of(request);
        let extensions = request.extensions();
        // Every handler extracts the caller before the body.
        let (Some(principal), Some(call)) =
            (extensions.get::<Principal>(), extensions.get::<RequestContext>())
        else {
            return Err(Unidentified::MissingKey.into());
        };
        let IdempotencyHeader(key) = IdempotencyHeader::of(request.headers())?;
        // A preview changes nothing, so its key is not claimed.
        let key = key.filter(|_| !is_preview(request.uri()));
        let (of, key) = match principal {
            Principal::Organisation { account, .. } => {
                (ClaimsOf::Account(*account), key.map(ClaimKey::Caller))
            }
            Principal::Operator { .. } => (operators(&target.path), key.map(ClaimKey::Operator)),
        };
        let thing = thing(request.method(), &target.path).map(|thing| ChangeRequest::digest(&thing));
        Ok(Self { target, changes: ChangeRequest { of, key, thing }, call: call.clone() })
    }

    async fn begin<T: DeserializeOwned + Send>(self, app: &App, bytes: &Bytes) -> Result<Once<T>, Unstarted> {
        let (body, fingerprint) = self.target.parse(bytes)?;
        let start = app.ledger.begin_change(&self.changes, &fingerprint, self.call.moment).await;
        match start.map_err(ApiError::from)? {
            ChangeStart::CarryOut(begun) => {
                let id = begun.id;
                self.call.carries_out(Ongoing { changes: self.changes, begun });
                Ok(Once { body, id })
            }
            ChangeStart::Answered(answer) => Err(Unstarted::Answered(reply(&answer)?)),
            ChangeStart::Overtaken => Err(OVERTAKEN.into()),
        }
    }
}

const OVERTAKEN: ApiError = ApiError::Conflict(
    "an earlier attempt of this request was interrupted, and another request has changed the same resource since; \
     read its current state, then send what you want under a new Idempotency-Key",
);

/// The scope of an operator's idempotency key: the organisation in the path, if there is one.
fn operators(path: &str) -> ClaimsOf {
    let rest = path.strip_prefix("/admin/v1/organisations/").unwrap_or_default();
    let org = rest.split('/').next().unwrap_or_default();
    match OrgId::try_from(org.to_owned()) {
        Ok(org) => ClaimsOf::Account(AccountId { org, mode: Mode::Live }),
        Err(_) => ClaimsOf::Operators,
    }
}

/// The resource that a request sets, so that a later request overrides an earlier one. What is created, sent or deleted
/// has an id of its own, and no request overrides it.
fn thing(method: &Method, path: &str) -> Option<String> {
    if *method == Method::PUT && path.ends_with("/subscription") {
        // An operator and the organisation change the same plan by different paths.
        return Some("subscription".to_owned());
    }
    if *method == Method::PUT || *method == Method::PATCH {
        return Some(path.to_owned());
    }
    // Closing an organisation freezes it.
    let frozen = ["/unfreeze", "/freeze", "/close", "/reopen"].iter().find_map(|end| path.strip_suffix(end));
    // Not the name of the organisation: PATCH of the organisation sets something else.
    frozen.filter(|_| *method == Method::POST).map(|organisation| format!("{organisation}/frozen"))
}

fn is_preview(uri: &http::Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "preview" && value == "true")
}

fn reply(kept: &str) -> Result<Reply, ApiError> {
    let KeptAnswer { status, data } = serde_json::from_str(kept).map_err(ApiError::unwritable)?;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    Ok(Reply::again(status, data.to_owned()))
}

/// Keeps the answer of a change. The caller gets a success only after the answer is kept.
pub(super) async fn conclude(app: &App, call: &RequestContext, response: Response) -> Response {
    let Some(Ongoing { changes, begun }) = call.ongoing() else { return response };
    let Some(reply) = response.extensions().get::<Reply>() else {
        let done = match is_refused(&response) {
            true => app.ledger.release_key(changes, begun).await,
            false => app.ledger.save_failure(changes, begun).await,
        };
        if let Err(fault) = done {
            tracing::warn!(request = %call.id, fault = &fault as &dyn Error, "an idempotency key stays claimed for a while");
        }
        return response;
    };
    match keep(app, reply, changes, begun).await {
        Ok(()) => response,
        Err(error) => error.into_response(),
    }
}

/// Whether an error means that nothing was changed. After a fault, or while the change is not settled yet, the change may
/// have been made; the caller then retries the same request.
fn is_refused(response: &Response) -> bool {
    let refused = response.extensions().get::<Arc<(ApiError, ApiErrorBody)>>();
    let is_retryable = refused.is_some_and(|refused| refused.1.retry_after.is_some());
    !response.status().is_server_error() && !is_retryable
}

async fn keep(
    app: &App,
    reply: &Reply,
    changes: &ChangeRequest,
    begun: &ChangeAttempt,
) -> Result<(), ApiError> {
    let (status, data) = reply.kept();
    let kept = serde_json::to_string(&KeptAnswer { status: status.as_u16(), data });
    let kept = kept.map_err(ApiError::unwritable)?;
    app.ledger.save_answer(changes, begun, &kept).await.map_err(Fault::into)
}

impl From<ApiError> for Unstarted {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl IntoResponse for Unstarted {
    fn into_response(self) -> Response {
        match self {
            Self::Answered(reply) => reply.into_response(),
            Self::Refused(error) => error.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Unsettled;

    #[test]
    fn freeze_and_unfreeze_override_each_other_and_nothing_else() {
        let of = |method, path: &str| thing(&method, path);
        let [freeze, unfreeze] =
            ["freeze", "unfreeze"].map(|end| of(Method::POST, &format!("/organisations/org_1/{end}")));
        assert!(freeze.is_some() && freeze == unfreeze);
        assert_ne!(freeze, of(Method::PATCH, "/organisations/org_1"));
        assert_eq!(of(Method::POST, "/organisations"), None);
        let plan = of(Method::PUT, "/api/v3/subscription");
        assert_eq!(of(Method::PUT, "/admin/v1/organisations/org_1/subscription"), plan);
    }

    #[test]
    fn only_a_refusal_releases_the_key() {
        let gives_back = |error: ApiError| is_refused(&error.into_response());
        assert!(gives_back(OVERTAKEN));
        assert!(!gives_back(Unsettled::InProgress.into()), "the change may have been made");
        assert!(!gives_back(Fault::Busy.into()));
    }
}
