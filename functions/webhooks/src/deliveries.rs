use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    self, AccountId, DeliveryId, DeliveryKind, DeliveryStanding, DeliveryState, EventId, EventName, Flow,
    WebhookId,
};
use scrip_http::{ApiError, App, Caller, Listing, NoFields, Once, OnceOptional, Params, Reply, may};
use scrip_webhooks::{Told, sample};
use serde::Deserialize;
use store::{WebhookKey, random};
use utoipa::{IntoParams, ToSchema};

use super::endpoints::{deliver_soon, expect_delivery};
use super::names::Sendable;
use super::shape::{Delivery, Webhook};
use super::{UNKNOWN, find};

/// Deliveries on a page when nothing is asked, and at most.
const LIMIT: i32 = 20;
const LIMIT_MAX: i32 = 100;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Deliveries on a page, 1 to 100; 20 when left out.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// What a test is to look like.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "event": "credits.low_balance" }))]
pub(super) struct WebhookTest {
    /// An event's name: its example is sent, with number 0. webhook.test when left out.
    #[schema(value_type = Option<Sendable>)]
    event: Option<EventName>,
}

/// Which events.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "after": 4, "through": 9 }))]
pub(super) struct EventRange {
    /// The number before the first one; 0 begins with the first that the feed has.
    after: u64,
    /// The number of the last one; the last that was delivered when left out.
    through: Option<u64>,
}

const NO_DELIVERY: ApiError = ApiError::NotFound(
    "there is no delivery with this id, or it is older than 30 days; GET /api/v3/webhooks/{id}/deliveries lists them",
);

/// Sends a test at once, and tells what came of it. It has number 0 and changes nothing about what is delivered.
#[utoipa::path(
    post,
    path = "/api/v3/webhooks/{id}/test",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…")),
    request_body(content = Option<WebhookTest>, description = "May be left out"),
    responses((status = 200, body = Delivery), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn test_webhook(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(id): Path<String>,
    OnceOptional(Once { body: WebhookTest { event }, .. }): OnceOptional<WebhookTest>,
) -> Result<Reply, ApiError> {
    let webhook = find(&app, caller.account, id).await?;
    let now = app.clock.moment().now;
    let event = event.unwrap_or(EventName::WebhookTest);
    let id = EventId::new(now, random()).to_string();
    let told = Told::new((id, 0), event.as_str(), now, &sample(event, webhook.id));
    let sent = app.courier().send_once(caller.account, &webhook, (DeliveryKind::Test, told)).await?;
    Reply::ok(&Delivery::of(sent))
}

/// What was sent to a webhook in the last 30 days, with every attempt; what was first sent last comes first.
#[utoipa::path(
    get,
    path = "/api/v3/webhooks/{id}/deliveries",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…"), Query),
    responses((status = 200, body = Vec<Delivery>), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn list_deliveries(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
    Path(id): Path<String>,
    Params(Query { limit, cursor }): Params<Query>,
) -> Result<Reply, ApiError> {
    let limit = limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be a whole number from 1 to {LIMIT_MAX}")));
    }
    let webhook = find(&app, caller.account, id).await?;
    let listing = Listing { list: "deliveries", account: caller.account, question: &webhook.id.to_string() };
    let read = |text: String| {
        let before = app.cursors.read(&listing, &text)?;
        DeliveryId::try_from(before).map_err(|_| ApiError::InvalidCursor)
    };
    let before = cursor.map(read).transpose()?;
    let of = (caller.account, webhook.id);
    // How far it is comes first: what is done by the time the log is read is logged as done.
    let state = app.activity.delivery_state(caller.account, webhook.id).await?.ok_or(UNKNOWN)?;
    let key = WebhookKey { account: caller.account, id: webhook.id };
    let (deliveries, more) = app.activity.deliveries(key, before, limit).await?;
    let next = deliveries.last().filter(|_| more);
    let next = next.map(|last| app.cursors.write(&listing, &last.id.to_string())).transpose()?;
    let deliveries = as_they_are(&app, of, &state, deliveries).await?;
    Reply::page(&deliveries.into_iter().map(Delivery::of).collect::<Vec<_>>(), next)
}

/// Lines of the log by how far their webhook was before they were read. An attempt may have begun and failed in
/// between: lines that nobody knew to be waiting are looked at by how far it is now.
async fn as_they_are(
    app: &App,
    (account, webhook): (AccountId, WebhookId),
    state: &DeliveryState,
    lines: Vec<domain::Delivery>,
) -> Result<Vec<domain::Delivery>, ApiError> {
    let told: Vec<_> = lines.iter().cloned().map(|line| line.by(state)).collect();
    if told.iter().all(|line| line.standing != DeliveryStanding::Superseded) {
        return Ok(told);
    }
    let later = app.activity.delivery_state(account, webhook).await?.ok_or(UNKNOWN)?;
    let pairs = lines.into_iter().zip(told);
    let told = pairs.map(|(line, told)| match told.standing {
        DeliveryStanding::Superseded => line.by(&later),
        DeliveryStanding::Succeeded | DeliveryStanding::Retrying | DeliveryStanding::Failed => told,
    });
    Ok(told.collect())
}

async fn delivery(
    app: &App,
    caller: &Caller<impl Send>,
    (id, delivery): (String, String),
) -> Result<(domain::Webhook, domain::Delivery), ApiError> {
    let webhook = find(app, caller.account, id).await?;
    let delivery = DeliveryId::try_from(delivery).map_err(|_| NO_DELIVERY)?;
    let state = app.activity.delivery_state(caller.account, webhook.id).await?.ok_or(UNKNOWN)?;
    let delivery = app.activity.delivery(caller.account, webhook.id, delivery).await?;
    let lines = vec![delivery.ok_or(NO_DELIVERY)?];
    let lines = as_they_are(app, (caller.account, webhook.id), &state, lines).await?;
    Ok((webhook, lines.into_iter().next().ok_or(NO_DELIVERY)?))
}

/// One delivery.
#[utoipa::path(
    get,
    path = "/api/v3/webhooks/{id}/deliveries/{deliveryId}",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…"), ("deliveryId" = String, Path, description = "del_…")),
    responses((status = 200, body = Delivery), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn read_delivery(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
    Path(ids): Path<(String, String)>,
) -> Result<Reply, ApiError> {
    let (_, delivery) = delivery(&app, &caller, ids).await?;
    Reply::ok(&Delivery::of(delivery))
}

/// Sends a delivery once more, at once, and tells what came of it: the same event with the same id, as a delivery
/// of its own. It changes nothing about what is delivered otherwise.
#[utoipa::path(
    post,
    path = "/api/v3/webhooks/{id}/deliveries/{deliveryId}/replay",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…"), ("deliveryId" = String, Path, description = "del_…")),
    responses((status = 200, body = Delivery), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn replay_delivery(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(ids): Path<(String, String)>,
    _: OnceOptional<NoFields>,
) -> Result<Reply, ApiError> {
    let (webhook, earlier) = delivery(&app, &caller, ids).await?;
    let told = Told {
        id: earlier.event_id,
        number: earlier.number,
        name: earlier.event,
        body: earlier.request.body,
    };
    let sent = app.courier().send_once(caller.account, &webhook, (DeliveryKind::Once, told)).await?;
    Reply::ok(&Delivery::of(sent))
}

/// Has a range of events sent once more, in order, whenever nothing new is to be sent; each until it is taken. With one
/// that is not, ten times, the range is given up, and what is new goes on.
/// Another range that is not sent whole yet gives way to it.
#[utoipa::path(
    post,
    path = "/api/v3/webhooks/{id}/replay",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…")),
    request_body = EventRange,
    responses(
        (status = 200, body = Webhook),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the webhook is not active; resume it first"),
    ),
)]
pub(super) async fn replay_events(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(id): Path<String>,
    Once { body: EventRange { after, through }, .. }: Once<EventRange>,
) -> Result<Reply, ApiError> {
    let webhook = find(&app, caller.account, id).await?;
    let state = app.activity.delivery_state(caller.account, webhook.id).await?.ok_or(UNKNOWN)?;
    if state.status != Flow::Active {
        return Err(ApiError::Conflict(
            "the webhook is not active; resume it first, and it has all that it missed",
        ));
    }
    let last = through.unwrap_or(state.through);
    if state.through < last {
        let problem =
            format!("must be at most {}, the number of the last event that was delivered", state.through);
        return Err(ApiError::field("through", problem));
    }
    if last <= after {
        return Err(ApiError::field("after", "must be below through"));
    }
    expect_delivery(&app, &caller).await?;
    let replaying = |known: &DeliveryState| known.replaying((after, last));
    let state = app.activity.change_delivery_state(caller.account, webhook.id, replaying);
    let state = state.await?.ok_or(UNKNOWN)?;
    deliver_soon(&app, &caller).await;
    Reply::ok(&Webhook::of(&webhook, &state, caller.call.moment.wall))
}
