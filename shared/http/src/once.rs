use std::error::Error;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::Told;
use super::{ApiError, App, Call, Reply, body, intent};
use domain::{AccountId, ClaimKey, EntryId, Mode, OrgId, Principal};
use store::{Begun, Changes, ClaimsOf, Fault, Start};

/// A request that changes something other than credits: its JSON body. It needs no `Idempotency-Key`; with
/// one, it is carried out once. The same request sent again gets the first answer and changes nothing,
/// however late it comes; another body under the same key is refused (`IDEMPOTENCY_KEY_REUSED`).
///
/// The layer around every router keeps the answer, so a handler has nothing to do for it. What moves credits
/// takes an [`Intent`](super::Intent), whose key the ledger itself claims.
#[derive(Debug)]
pub struct Once<T> {
    /// What is asked.
    pub body: T,
    /// The request's id: every sending under one idempotency key has the same.
    pub id: EntryId,
}

/// A [`Once`] that says it all by its path: the body may be left out.
#[derive(Debug)]
pub struct OnceOptional<T>(pub Once<T>);

/// A body without fields.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

/// Why a handler does not run.
#[derive(Debug)]
pub enum Unstarted {
    /// The same request was answered before.
    Answered(Reply),
    /// It is refused.
    Refused(ApiError),
}

/// A request that a handler is at work on, for the layer that keeps its answer.
#[derive(Debug)]
pub(super) struct Ongoing {
    changes: Changes,
    begun: Begun,
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    status: u16,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl<T: DeserializeOwned + Send> FromRequest<Arc<App>> for Once<T> {
    type Rejection = Unstarted;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Unstarted> {
        let asked = Asked::of(&request)?;
        let bytes = body::read(request, body::BODY_BYTES_MAX).await?;
        asked.begin(app, &bytes).await
    }
}

impl<T: DeserializeOwned + Send> FromRequest<Arc<App>> for OnceOptional<T> {
    type Rejection = Unstarted;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Unstarted> {
        let asked = Asked::of(&request)?;
        let bytes = body::read_or_empty(request, body::BODY_BYTES_MAX).await?;
        asked.begin(app, &bytes).await.map(Self)
    }
}

/// What is known of a request before its body is read.
struct Asked {
    method: Method,
    path: String,
    changes: Changes,
    call: Call,
}

impl Asked {
    fn of(request: &Request) -> Result<Self, ApiError> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let extensions = request.extensions();
        // Every handler finds out who calls before it reads what is asked.
        let (Some(principal), Some(call)) = (extensions.get::<Principal>(), extensions.get::<Call>()) else {
            return Err(ApiError::MissingKey);
        };
        // A preview changes nothing, so it takes no key.
        let key = intent::optional_key(request.headers())?.filter(|_| !is_preview(request.uri()));
        let (of, key) = match principal {
            Principal::Organisation { account, .. } => {
                (ClaimsOf::Account(*account), key.map(ClaimKey::Caller))
            }
            Principal::Operator { .. } => (operators(&path), key.map(ClaimKey::Operator)),
        };
        let thing = thing(&method, &path).map(|thing| Changes::digest(&thing));
        Ok(Self { method, path, changes: Changes { of, key, thing }, call: call.clone() })
    }

    async fn begin<T: DeserializeOwned + Send>(self, app: &App, bytes: &Bytes) -> Result<Once<T>, Unstarted> {
        let asked = body::parse(bytes)?;
        let fingerprint = body::fingerprint(self.method.as_str(), &self.path, bytes)?;
        let start = app.ledger.begin(&self.changes, &fingerprint, self.call.moment).await;
        match start.map_err(ApiError::from)? {
            Start::CarryOut(begun) => {
                let id = begun.id;
                self.call.carries_out(Ongoing { changes: self.changes, begun });
                Ok(Once { body: asked, id })
            }
            Start::Answered(answer) => Err(Unstarted::Answered(reply(&answer)?)),
            Start::Overtaken => Err(OVERTAKEN.into()),
        }
    }
}

const OVERTAKEN: ApiError = ApiError::Conflict(
    "an earlier sending of this request broke off, and another request has changed the same since; read how it is, \
     then send what you want under a new Idempotency-Key",
);

/// Whose an operator's idempotency key is: where the path names an organisation, keys of other
/// organisations do not meet it.
fn operators(path: &str) -> ClaimsOf {
    let rest = path.strip_prefix("/admin/v1/organisations/").unwrap_or_default();
    let org = rest.split('/').next().unwrap_or_default();
    match OrgId::try_from(org.to_owned()) {
        Ok(org) => ClaimsOf::Account(AccountId { org, mode: Mode::Live }),
        Err(_) => ClaimsOf::Operators,
    }
}

/// The thing that a request sets, in which a later request undoes an earlier one. What is made, sent or
/// deleted has an id of its own, and nothing undoes it.
fn thing(method: &Method, path: &str) -> Option<String> {
    if *method == Method::PUT && path.ends_with("/subscription") {
        // An operator and the organisation change the same plan, by paths of their own.
        return Some("subscription".to_owned());
    }
    if *method == Method::PUT || *method == Method::PATCH {
        return Some(path.to_owned());
    }
    let frozen = path.strip_suffix("/unfreeze").or_else(|| path.strip_suffix("/freeze"));
    // A name of its own: what is set by PATCH of the organisation is something else.
    frozen.filter(|_| *method == Method::POST).map(|organisation| format!("{organisation}/frozen"))
}

fn is_preview(uri: &http::Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "preview" && value == "true")
}

fn reply(kept: &str) -> Result<Reply, ApiError> {
    let Kept { status, data } = serde_json::from_str(kept).map_err(ApiError::unwritable)?;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    Ok(Reply::again(status, data.to_owned()))
}

/// Keeps what a handler has answered, if it has carried out a request that is carried out once. A caller is
/// told that it succeeded only after its answer is kept.
pub(super) async fn conclude(app: &App, call: &Call, response: Response) -> Response {
    let Some(Ongoing { changes, begun }) = call.ongoing() else { return response };
    let Some(reply) = response.extensions().get::<Reply>() else {
        let done = match is_refused(&response) {
            true => app.ledger.give_key_back(changes, begun).await,
            false => app.ledger.break_off(changes, begun).await,
        };
        if let Err(fault) = done {
            tracing::warn!(request = %call.id, fault = &fault as &dyn Error, "an idempotency key stays taken for a while");
        }
        return response;
    };
    match keep(app, reply, (changes, begun)).await {
        Ok(()) => response,
        Err(error) => error.into_response(),
    }
}

/// Whether a failure says that nothing was changed. A fault may have come after the change was made, and so may the
/// answer that a change is not settled yet: the same request is to be sent again then.
fn is_refused(response: &Response) -> bool {
    let refused = response.extensions().get::<Arc<(ApiError, Told)>>();
    let is_to_be_sent_again = refused.is_some_and(|refused| refused.1.retry_after.is_some());
    !response.status().is_server_error() && !is_to_be_sent_again
}

async fn keep(app: &App, reply: &Reply, (changes, begun): (&Changes, &Begun)) -> Result<(), ApiError> {
    let (status, data) = reply.kept();
    let kept = serde_json::to_string(&Kept { status: status.as_u16(), data });
    let kept = kept.map_err(ApiError::unwritable)?;
    app.ledger.keep_answer(changes, begun, &kept).await.map_err(Fault::into)
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
    fn freeze_and_unfreeze_undo_each_other_and_no_other_change_undoes_them() {
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
    fn only_a_refusal_gives_the_key_back() {
        let gives_back = |error: ApiError| is_refused(&error.into_response());
        assert!(gives_back(OVERTAKEN));
        assert!(!gives_back(Unsettled::InProgress.into()), "the change may have been made");
        assert!(!gives_back(Fault::Busy.into()));
    }
}
