//! The layer around every route: the envelope around what handlers answer, request ids, and the log.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Router, body::Body};
use chrono::{DateTime, Utc};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;
use ulid::Ulid;
use utoipa_axum::router::OpenApiRouter;

use super::answer_body::{refusal, set};
use super::context::address_of;
use super::error::ApiErrorBody;
use super::etag::{IfNoneMatch, edition_tag, tag};
use super::known_parameters::KnownParameters;
use super::rate_limits::with_headers;
use super::{ApiError, App, Reply, RequestContext, audit, once, timestamp, verifik};

/// How long a cache may keep a public answer: as long as a warm function keeps the catalogue.
const PUBLIC: HeaderValue = HeaderValue::from_static("public, max-age=60");

#[derive(Serialize)]
struct ResponseEnvelope<'a> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ApiErrorBody>,
    meta: Meta<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(with = "timestamp")]
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

/// The shape of a request's answer.
#[derive(Clone, Copy)]
enum AnswerShape {
    Scrip,
    /// That of Verifik's own paths.
    Verifik {
        is_route: bool,
    },
}

impl AnswerShape {
    fn of(request: &Request) -> Self {
        let is_route = request.extensions().get::<MatchedPath>().is_some();
        if verifik::is_below(request.uri().path()) { Self::Verifik { is_route } } else { Self::Scrip }
    }
}

/// Adds to a function's routes what every route has: the envelope, request ids, errors for unknown paths and methods,
/// one line of log for each request, and the check of query parameters.
pub fn finish(routes: OpenApiRouter<Arc<App>>, app: Arc<App>) -> Router {
    let (routes, document) = routes.split_for_parts();
    let routes = routes
        .fallback(|| async {
            ApiError::NotFound("there is no such path; GET /openapi.json lists the paths of the API")
        })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed });
    enveloped(routes, KnownParameters::of(&document), app)
}

/// Answers every request with the error that `refuse` makes, as every route answers an error.
pub(super) fn refuse_all(refuse: fn() -> ApiError, app: Arc<App>) -> Router {
    let routes = Router::new().fallback(move || async move { refuse() });
    enveloped(routes, KnownParameters::none(), app)
}

fn enveloped(routes: Router<Arc<App>>, parameters: KnownParameters, app: Arc<App>) -> Router {
    let layer = Layer { app: app.clone(), parameters: Arc::new(parameters) };
    routes.layer(from_fn_with_state(layer, envelop)).with_state(app)
}

/// The state of the layer around every route.
#[derive(Clone)]
struct Layer {
    app: Arc<App>,
    parameters: Arc<KnownParameters>,
}

async fn envelop(State(layer): State<Layer>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let moment = layer.app.clock.moment();
    let id = format!("req_{}", Ulid::from_parts(millis(moment.now), store::random()));
    let call = RequestContext::new(moment, id, address_of(request.extensions()));
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str).to_owned();
    request.extensions_mut().insert(call.clone());
    let known = IfNoneMatch::of(request.headers());
    let shape = AnswerShape::of(&request);
    let response = match layer.parameters.check(&request) {
        Ok(()) => once::conclude(&layer.app, &call, next.run(request).await).await,
        Err(error) => error.into_response(),
    };
    if let Some(outcome) = audit::outcome(&call, &response) {
        audit::end(&layer.app, &call, &outcome).await;
    }
    let response = match shape {
        AnswerShape::Scrip => write(&call, response, &known),
        AnswerShape::Verifik { is_route } => verifik::write(&call, response, is_route),
    };
    let response = with_headers(response, &call.rates());
    let status = response.status();
    let account = call.account().map(|account| account.to_string());
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(request = %call.id, %method, route, status = status.as_u16(), millis, account, "answered");
    response
}

fn write(call: &RequestContext, mut response: Response, known: &IfNoneMatch) -> Response {
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
            ResponseEnvelope { success: true, data: Some(&reply.data), error: None, meta: meta(pagination) };
        set(&mut response, call, &envelope);
        if reply.replayed {
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        if let Some(edition) = reply.edition
            && let Ok(tag) = HeaderValue::from_str(&edition_tag(edition))
        {
            response.headers_mut().insert(header::ETAG, tag);
        }
        if let Some(seconds) = reply.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(cookie) = reply.cookie
            && let Ok(cookie) = HeaderValue::from_str(&cookie)
        {
            response.headers_mut().append(header::SET_COOKIE, cookie);
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if reply.public {
            share(&mut response, &tag(reply.data.get()), known);
        }
        return response;
    }
    let refused = refusal(&mut response);
    if let Some((error, body)) = refused.as_deref() {
        if body.status.is_server_error() {
            tracing::error!(request = %call.id, code = body.code, error = error as &dyn Error, "call failed");
        }
        set(
            &mut response,
            call,
            &ResponseEnvelope { success: false, data: None, error: Some(body), meta: meta(None) },
        );
        if let Some(seconds) = body.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    response
}

/// Adds the headers of a public answer, and answers 304 to a caller that has it already.
fn share(response: &mut Response, tag: &str, known: &IfNoneMatch) {
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
