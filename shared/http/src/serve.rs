//! Serves the routes of a function as a Lambda function.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::uri::PathAndQuery;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, LambdaEvent, Service, lambda_runtime, service_fn};
use utoipa_axum::router::OpenApiRouter;

use super::response::refuse_all;
use super::{ApiError, App, Fatal, finish};

/// What a function returns to Lambda for a request.
type LambdaAnswer = <Adapter<'static, Response, Router> as Service<LambdaEvent<LambdaRequest>>>::Response;

/// Serves a function's routes for as long as the function lives.
///
/// # Errors
/// When the Lambda runtime gives up.
pub async fn serve(app: App, routes: OpenApiRouter<Arc<App>>) -> Result<(), Fatal> {
    lambda_runtime::run(lambda_service(routes, Arc::new(app))).await
}

/// A function's routes as a service that takes API Gateway's events. A query string that is not part of a valid URL is
/// answered with 400; `lambda_http` alone would panic on it.
pub fn lambda_service(
    routes: OpenApiRouter<Arc<App>>,
    app: Arc<App>,
) -> impl Service<LambdaEvent<LambdaRequest>, Response = LambdaAnswer, Error = Infallible> {
    let mut answering = Adapter::from(finish(routes, app.clone()));
    service_fn(move |mut event: LambdaEvent<LambdaRequest>| {
        if is_query_readable(&event.payload) {
            answering.call(event)
        } else {
            remove_query(&mut event.payload);
            Adapter::from(refuse_all(unreadable_query, app.clone())).call(event)
        }
    })
}

fn unreadable_query() -> ApiError {
    ApiError::field(
        "query",
        "has a character that a URL cannot have, such as a blank, a quotation mark or `<`; percent-encode it",
    )
}

/// Whether the query string can be part of a URL, by the check that the request's own URL has to pass.
fn is_query_readable(request: &LambdaRequest) -> bool {
    if let LambdaRequest::ApiGatewayV2(request) = request {
        let query = request.raw_query_string.as_deref().unwrap_or_default();
        PathAndQuery::try_from(format!("/?{query}")).is_ok()
    } else {
        true
    }
}

fn remove_query(request: &mut LambdaRequest) {
    if let LambdaRequest::ApiGatewayV2(request) = request {
        request.raw_query_string = None;
    }
}
