use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Router, body::Body};
use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use ulid::Ulid;
use utoipa_axum::router::OpenApiRouter;

use super::error::Told;
use super::etag::{Known, edition_tag, tag};
use super::queries::Queries;
use super::{ApiError, App, Call, instant, once};

/// What a handler answers, before the envelope is put around it.
#[derive(Clone, Debug)]
pub struct Reply {
    status: StatusCode,
    data: Box<RawValue>,
    /// What is answered when the request is sent again, where that is something else.
    again: Option<Box<RawValue>>,
    replayed: bool,
    next_cursor: Option<Option<String>>,
    public: bool,
    edition: Option<u64>,
}

/// For how long a cache may answer in our place with what is the same for everybody: as long as a
/// warm function goes by what it has read itself.
const PUBLIC: HeaderValue = HeaderValue::from_static("public, max-age=60");

impl Reply {
    /// 200 with `data`.
    ///
    /// # Errors
    /// None in practice: every shape of ours can be written.
    pub fn ok(data: &impl Serialize) -> Result<Self, ApiError> {
        Self::new(StatusCode::OK, data)
    }

    /// 201 with `data`; `replayed` says that an earlier sending of the request made it.
    ///
    /// # Errors
    /// None in practice: every shape of ours can be written.
    pub fn created(data: &impl Serialize, replayed: bool) -> Result<Self, ApiError> {
        Ok(Self { replayed, ..Self::new(StatusCode::CREATED, data)? })
    }

    /// 202 with `data`: it goes on without the caller; `replayed` as with [`Reply::created`].
    ///
    /// # Errors
    /// None in practice: every shape of ours can be written.
    pub fn accepted(data: &impl Serialize, replayed: bool) -> Result<Self, ApiError> {
        Ok(Self { replayed, ..Self::new(StatusCode::ACCEPTED, data)? })
    }

    /// 200 with a list, and where it goes on; `None` on its last page.
    ///
    /// # Errors
    /// None in practice: every shape of ours can be written.
    pub fn page(data: &impl Serialize, next_cursor: Option<String>) -> Result<Self, ApiError> {
        Ok(Self { next_cursor: Some(next_cursor), ..Self::new(StatusCode::OK, data)? })
    }

    /// Says whether an earlier sending of the request is answered again.
    #[must_use]
    pub fn replayed(self, replayed: bool) -> Self {
        Self { replayed, ..self }
    }

    /// The same for everybody: caches may keep it for a minute, and whoever has it already is told
    /// just that (`ETag`, `If-None-Match`).
    #[must_use]
    pub fn public(self) -> Self {
        Self { public: true, ..self }
    }

    /// Says what the same request is answered when it is sent again: without a secret that is shown once.
    ///
    /// # Errors
    /// None in practice: every shape of ours can be written.
    pub fn shown_once(self, again: &impl Serialize) -> Result<Self, ApiError> {
        let again = to_raw_value(again).map_err(ApiError::unwritable)?;
        Ok(Self { again: Some(again), ..self })
    }

    /// What is kept of it, for the same request sent again.
    pub(super) fn kept(&self) -> (StatusCode, &RawValue) {
        (self.status, self.again.as_ref().unwrap_or(&self.data))
    }

    /// An answer that was given before.
    pub(super) fn again(status: StatusCode, data: Box<RawValue>) -> Self {
        Self { status, data, again: None, replayed: true, next_cursor: None, public: false, edition: None }
    }

    /// Names the edition of settings that it tells (`ETag`), for `If-Match`.
    #[must_use]
    pub fn tagged(self, edition: u64) -> Self {
        Self { edition: Some(edition), ..self }
    }

    fn new(status: StatusCode, data: &impl Serialize) -> Result<Self, ApiError> {
        let data = to_raw_value(data).map_err(ApiError::unwritable)?;
        Ok(Self {
            status,
            data,
            again: None,
            replayed: false,
            next_cursor: None,
            public: false,
            edition: None,
        })
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Told>,
    meta: Meta<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(with = "instant")]
    timestamp: DateTime<Utc>,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    livemode: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination: Option<Pagination>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pagination {
    next_cursor: Option<String>,
    has_more: bool,
}

/// Handlers answer with what they have to say; the layer around them says it.
impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let told = self.told();
        let mut response = told.status.into_response();
        response.extensions_mut().insert(Arc::new((self, told)));
        response
    }
}

/// Puts the house around the functions' own routes: the envelope, request ids, errors for what no
/// route answers, one line of log a request. A query parameter that a route's description does not list is refused.
pub fn finish(routes: OpenApiRouter<Arc<App>>, app: Arc<App>) -> Router {
    let (routes, document) = routes.split_for_parts();
    let house = House { app: app.clone(), queries: Arc::new(Queries::of(&document)) };
    routes
        .fallback(|| async {
            ApiError::NotFound("there is no such path; GET /openapi.json lists the paths of the API")
        })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .layer(from_fn_with_state(house, envelop))
        .with_state(app)
}

/// What stands around every route.
#[derive(Clone)]
struct House {
    app: Arc<App>,
    queries: Arc<Queries>,
}

async fn envelop(State(house): State<House>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let moment = house.app.clock.moment();
    let call = Call::new(moment, format!("req_{}", Ulid::from_parts(millis(moment.now), store::random())));
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str).to_owned();
    request.extensions_mut().insert(call.clone());
    let known = Known::of(request.headers());
    let response = match house.queries.check(&request) {
        Ok(()) => once::conclude(&house.app, &call, next.run(request).await).await,
        Err(error) => error.into_response(),
    };
    let response = write(&call, response, &known);
    let status = response.status();
    let account = call.account().map(|account| account.to_string());
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(request = %call.id, %method, route, status = status.as_u16(), millis, account, "answered");
    response
}

fn write(call: &Call, mut response: Response, known: &Known) -> Response {
    let meta = |pagination| Meta {
        timestamp: call.now(),
        request_id: &call.id,
        livemode: call.livemode(),
        pagination,
    };
    if let Some(reply) = response.extensions_mut().remove::<Reply>() {
        let pagination =
            reply.next_cursor.map(|next| Pagination { has_more: next.is_some(), next_cursor: next });
        let envelope =
            Envelope { success: true, data: Some(&reply.data), error: None, meta: meta(pagination) };
        set(&mut response, call, &envelope);
        if reply.replayed {
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        if let Some(edition) = reply.edition
            && let Ok(tag) = HeaderValue::from_str(&edition_tag(edition))
        {
            response.headers_mut().insert(header::ETAG, tag);
        }
        if reply.public {
            share(&mut response, &tag(reply.data.get()), known);
        }
        return response;
    }
    // The router itself refuses a path only when it does not decode.
    let refused = response.extensions_mut().remove::<Arc<(ApiError, Told)>>().or_else(|| {
        let error = ApiError::field("path", "does not read as UTF-8");
        let told = error.told();
        (response.status() == StatusCode::BAD_REQUEST).then(|| Arc::new((error, told)))
    });
    if let Some((error, told)) = refused.as_deref() {
        if told.status.is_server_error() {
            tracing::error!(request = %call.id, code = told.code, error = error as &dyn Error, "call failed");
        }
        set(
            &mut response,
            call,
            &Envelope { success: false, data: None, error: Some(told), meta: meta(None) },
        );
        if let Some(seconds) = told.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    response
}

fn set(response: &mut Response, call: &Call, envelope: &Envelope<'_>) {
    let json = serde_json::to_vec(envelope).unwrap_or_default();
    *response.body_mut() = Body::from(json);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&call.id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}

/// Marks what is the same for everybody; whoever has it already gets no more than the mark.
fn share(response: &mut Response, tag: &str, known: &Known) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, PUBLIC);
    if let Ok(value) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, value);
    }
    if known.has(tag) {
        headers.remove(header::CONTENT_TYPE);
        *response.body_mut() = Body::empty();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
}

fn millis(at: DateTime<Utc>) -> u64 {
    u64::try_from(at.timestamp_millis()).unwrap_or(0)
}
