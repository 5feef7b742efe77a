use std::sync::Arc;

use axum::extract::{Path, State};
use domain::HookSecret;
use ports::SecretOf;
use scrip_http::{ApiError, App, Caller, Once, OnceOptional, Reply, may};
use serde::Deserialize;
use store::{Fault, secret_bytes};
use utoipa::ToSchema;

use super::shape::{Webhook, WebhookWithSecret};
use super::{UNKNOWN, named};

/// How often one change may lose the race for a webhook.
const ATTEMPTS_MAX: u32 = 8;

/// For how long the secret before goes on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "overlapSeconds": 86400 }))]
pub(super) struct Rotation {
    /// For how many seconds deliveries are signed with the secret before as well, 0 to 86400; a day when left out.
    /// 0 for one that others may know.
    #[schema(maximum = 86400)]
    overlap_seconds: Option<u32>,
}

/// Gives a webhook a new secret, which is shown this once. For a day deliveries are signed with both, so that
/// whoever verifies them can change over in peace. The same request sent again rotates nothing, and answers
/// `secret: null` and `secretShown: true`.
#[utoipa::path(
    post,
    path = "/api/v3/webhooks/{id}/rotate-secret",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…")),
    request_body(content = Option<Rotation>, description = "May be left out"),
    responses(
        (status = 200, body = WebhookWithSecret),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: five secrets sign at the same time; wait for one to end, or rotate with overlapSeconds 0"),
    ),
)]
pub(super) async fn rotate_secret(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(id): Path<String>,
    OnceOptional(Once { body: Rotation { overlap_seconds }, .. }): OnceOptional<Rotation>,
) -> Result<Reply, ApiError> {
    let (id, moment) = (named(id)?, caller.call.moment);
    let overlap = overlap_seconds.unwrap_or(domain::Webhook::OVERLAP_SECONDS);
    if domain::Webhook::OVERLAP_SECONDS < overlap {
        return Err(ApiError::field("overlapSeconds", "must be a whole number from 0 to 86400"));
    }
    let owner = SecretOf { account: caller.account, webhook: id };
    let secret = HookSecret::new(secret_bytes()?);
    let known = app.activity.webhook(caller.account, id).await?.ok_or(UNKNOWN)?;
    let sealed = app.seal.seal(owner, &secret).await.map_err(Fault::from)?;
    let mut known = Some(known);
    for _ in 0..ATTEMPTS_MAX {
        let Some(webhook) = known else { return Err(UNKNOWN) };
        let rotated = webhook.rotated(sealed.clone(), overlap, moment.wall);
        let rotated = rotated.ok_or(ApiError::Conflict(
            "five secrets sign at the same time; wait for one to end, or rotate with overlapSeconds 0",
        ))?;
        if let Some(saved) = app.activity.save_webhook(caller.account, &rotated).await? {
            let state = app.activity.delivery_state(caller.account, id).await?.ok_or(UNKNOWN)?;
            let webhook = Webhook::of(&saved, &state, moment.wall);
            let again = WebhookWithSecret::again(webhook.clone());
            return Reply::ok(&WebhookWithSecret::new(webhook, Some(&secret)))?.shown_once(&again);
        }
        known = app.activity.webhook(caller.account, id).await?;
    }
    Err(Fault::Busy.into())
}
