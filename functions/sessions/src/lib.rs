//! Signing in and out: sessions of people, `/api/v3/sessions`, and the links with which they begin,
//! `/api/v3/sign-in-links`. Operators have the same below `/admin/v1`.

mod links;
mod mails;
mod operators;
mod response;
mod sign_in;
mod sign_out;

use std::sync::Arc;

use scrip_http::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(sign_out::list_sessions, sign_in::sign_in, sign_out::sign_out_everywhere))
        .routes(routes!(sign_out::read_current_session, sign_out::sign_out))
        .routes(routes!(sign_out::end_session))
        .routes(routes!(links::create_sign_in_link))
        .routes(routes!(mails::send_sign_in_mail))
        .routes(routes!(operators::list, operators::sign_in, operators::sign_out_everywhere))
        .routes(routes!(operators::read_current, operators::sign_out))
        .routes(routes!(operators::end_session))
        .routes(routes!(operators::create_link))
}
