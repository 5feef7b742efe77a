//! Events and webhooks: `GET /api/v3/events`, and `/api/v3/webhooks` with everything below it.

mod deliveries;
mod endpoints;
mod feed;
mod response;
mod secrets;

use std::sync::Arc;

use domain::{AccountId, WebhookId};
use scrip_http::{ApiError, App, Id, PathId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(feed::feed))
        .routes(routes!(endpoints::list_webhooks, endpoints::create_webhook))
        .routes(routes!(endpoints::read_webhook, endpoints::change_webhook, endpoints::delete_webhook))
        .routes(routes!(secrets::rotate_secret))
        .routes(routes!(deliveries::test_webhook))
        .routes(routes!(deliveries::list_deliveries))
        .routes(routes!(deliveries::read_delivery))
        .routes(routes!(deliveries::replay_delivery))
        .routes(routes!(deliveries::replay_events))
}

/// A webhook of an account.
async fn find(app: &App, account: AccountId, id: Id<WebhookId>) -> Result<domain::Webhook, ApiError> {
    app.activity.webhook(account, id.found()?).await?.ok_or(WebhookId::NOT_FOUND)
}
