//! Rotation of signing secrets.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{WebhookId, WebhookSecret};
use ports::SecretOf;
use scrip_http::{ApiError, App, Caller, Id, Once, OptionalBody, PathId, Reply, WebhookView, may};
use serde::Deserialize;
use store::{Fault, secret_bytes};
use utoipa::ToSchema;

use super::response::WebhookWithSecret;

/// The most attempts of one change. Each failed attempt means that another change was written meanwhile.
const ATTEMPTS_MAX: u32 = 8;

/// A rotation of the signing secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "overlapSeconds": 86400 }))]
pub(super) struct Rotation {
    /// For how many seconds deliveries are also signed with the previous secret, 0 to 86400; a day if left out. Send 0 if
    /// the previous secret may have leaked.
    #[schema(maximum = 86400)]
    overlap_seconds: Option<u32>,
}

/// Gives a webhook a new secret, which is shown once. For a day, deliveries are signed with both secrets, so that receivers
/// can change over. A retry of the request rotates nothing, and answers `secret: null` and `secretShown: true`.
#[utoipa::path(
    post,
    path = "/api/v3/webhooks/{id}/rotate-secret",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…")),
    request_body(content = Option<Rotation>, description = "Optional"),
    responses(
        (status = 200, body = WebhookWithSecret),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: five secrets are in use; wait until one ends, or rotate with overlapSeconds 0"),
    ),
)]
pub(super) async fn rotate_secret(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(id): Path<Id<WebhookId>>,
    OptionalBody(Once { body: Rotation { overlap_seconds }, .. }): OptionalBody<Rotation>,
) -> Result<Reply, ApiError> {
    let (id, moment) = (id.found()?, caller.call.moment);
    let overlap = overlap_seconds.unwrap_or(domain::Webhook::OVERLAP_SECONDS);
    if domain::Webhook::OVERLAP_SECONDS < overlap {
        return Err(ApiError::field("overlapSeconds", "must be a whole number from 0 to 86400"));
    }
    let owner = SecretOf { account: caller.account, webhook: id };
    let secret = WebhookSecret::new(secret_bytes()?);
    let known = app.activity.webhook(caller.account, id).await?.ok_or(WebhookId::NOT_FOUND)?;
    let sealed = app.seal.seal(owner, &secret).await.map_err(Fault::from)?;
    let mut known = Some(known);
    for _ in 0..ATTEMPTS_MAX {
        let Some(webhook) = known else { return Err(WebhookId::NOT_FOUND) };
        let rotated = webhook.rotated(sealed.clone(), overlap, moment.wall);
        let rotated = rotated.ok_or(ApiError::Conflict(
            "five secrets are in use; wait until one ends, or rotate with overlapSeconds 0",
        ))?;
        if let Some(saved) = app.activity.save_webhook(caller.account, &rotated).await? {
            let state = app.activity.delivery_state(caller.account, id).await?.ok_or(WebhookId::NOT_FOUND)?;
            let webhook = WebhookView::of(&saved, &state, moment.wall);
            let again = WebhookWithSecret::again(webhook.clone());
            return Reply::ok(&WebhookWithSecret::new(webhook, Some(&secret)))?.shown_once(&again);
        }
        known = app.activity.webhook(caller.account, id).await?;
    }
    Err(Fault::Busy.into())
}
