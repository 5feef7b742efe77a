//! Deliveries: the log, tests and replays.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    self, AccountId, DeliveryId, DeliveryKind, DeliveryState, EventId, EventName, Replay, ReplayRequest,
    WebhookId, WebhookStatus,
};
use scrip_http::{
    ApiError, App, Caller, DeliveryView, Expensive, Id, Listing, NoFields, Once, OptionalBody, PageLimit,
    PathId, QueryParams, Reply, Sendable, WebhookView, may,
};
use scrip_webhooks::{EventEnvelope, WebhookMessage, sample};
use serde::Deserialize;
use store::{WebhookKey, random};
use utoipa::{IntoParams, ToSchema};

use super::endpoints::{deliver_soon, expect_delivery};
use super::find;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveriesQuery {
    /// Deliveries on a page, 1 to 100; 20 if left out.
    #[serde(default)]
    #[param(value_type = Option<i32>, minimum = 1, maximum = 100)]
    limit: PageLimit<20, 100>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// A test delivery to send.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "event": "credits.low_balance" }))]
pub(super) struct WebhookTest {
    /// The name of the event whose example is sent, with number 0; webhook.test if left out.
    #[schema(value_type = Option<Sendable>)]
    event: Option<EventName>,
}

/// A range of events to replay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "after": 4, "through": 9 }))]
pub(super) struct EventRange {
    /// The number before the first event; 0 begins with the first event of the feed.
    after: u64,
    /// The number of the last event; the last delivered one if left out.
    through: Option<u64>,
    /// Whether this range replaces one that is still being replayed; false if left out.
    #[serde(default)]
    replace: bool,
}

/// Sends a test event at once and returns the delivery. The event has number 0, and no other delivery changes.
#[utoipa::path(
    post,
    path = "/api/v3/webhooks/{id}/test",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…")),
    request_body(content = Option<WebhookTest>, description = "Optional"),
    responses(
        (status = 200, body = DeliveryView),
        (status = 404, description = "NOT_FOUND"),
        (status = 429, description = "RATE_LIMITED: more than 60 deliveries in a minute"),
    ),
)]
pub(super) async fn test_webhook(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(id): Path<Id<WebhookId>>,
    OptionalBody(Once { body: WebhookTest { event }, .. }): OptionalBody<WebhookTest>,
) -> Result<Reply, ApiError> {
    let webhook = find(&app, caller.account, id).await?;
    Expensive::Delivery.count(&app, caller.account, &caller.call).await?;
    let now = app.clock.moment().now;
    let event = event.unwrap_or(EventName::WebhookTest);
    let id = EventId::new(now, random()).to_string();
    let message = EventEnvelope::unnumbered(id, event.as_str(), now, sample(event, webhook.id)).into();
    let sent = app.webhook_worker().send_once(caller.account, &webhook, DeliveryKind::Test, message).await?;
    Reply::ok(&DeliveryView::of(sent))
}

/// Lists the deliveries of a webhook in the last 30 days with their attempts, the latest first.
#[utoipa::path(
    get,
    path = "/api/v3/webhooks/{id}/deliveries",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…"), DeliveriesQuery),
    responses((status = 200, body = Vec<DeliveryView>), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn list_deliveries(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
    Path(id): Path<Id<WebhookId>>,
    QueryParams(DeliveriesQuery { limit, cursor }): QueryParams<DeliveriesQuery>,
) -> Result<Reply, ApiError> {
    let webhook = find(&app, caller.account, id).await?;
    let listing = Listing { list: "deliveries", account: caller.account, question: &webhook.id.to_string() };
    let read = |text: String| {
        let before = app.cursors.read(&listing, &text)?;
        DeliveryId::try_from(before).map_err(|_| ApiError::InvalidCursor)
    };
    let before = cursor.map(read).transpose()?;
    let key = WebhookKey { account: caller.account, id: webhook.id };
    let page = app.activity.current_deliveries(key, before, limit.get().into()).await?;
    let (deliveries, more) = page.ok_or(WebhookId::NOT_FOUND)?;
    let next = deliveries.last().filter(|_| more);
    let next = next.map(|last| app.cursors.write(&listing, &last.id.to_string())).transpose()?;
    Reply::page(&deliveries.into_iter().map(DeliveryView::of).collect::<Vec<_>>(), next)
}

async fn find_delivery(
    app: &App,
    account: AccountId,
    webhook: Id<WebhookId>,
    delivery: Id<DeliveryId>,
) -> Result<(domain::Webhook, domain::Delivery), ApiError> {
    let webhook = find(app, account, webhook).await?;
    let delivery = delivery.found()?;
    let state = app.activity.delivery_state(account, webhook.id).await?.ok_or(WebhookId::NOT_FOUND)?;
    let delivery = app.activity.delivery(account, webhook.id, delivery).await?;
    let lines = vec![delivery.ok_or(DeliveryId::NOT_FOUND)?];
    let key = WebhookKey { account, id: webhook.id };
    let lines = app.activity.with_current_status(key, &state, lines).await?.ok_or(WebhookId::NOT_FOUND)?;
    Ok((webhook, lines.into_iter().next().ok_or(DeliveryId::NOT_FOUND)?))
}

/// Returns a delivery.
#[utoipa::path(
    get,
    path = "/api/v3/webhooks/{id}/deliveries/{deliveryId}",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…"), ("deliveryId" = String, Path, description = "del_…")),
    responses((status = 200, body = DeliveryView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn read_delivery(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
    Path(path): Path<(Id<WebhookId>, Id<DeliveryId>)>,
) -> Result<Reply, ApiError> {
    let (_, delivery) = find_delivery(&app, caller.account, path.0, path.1).await?;
    Reply::ok(&DeliveryView::of(delivery))
}

/// Sends the event of a delivery again, at once and with the same id, and returns the new delivery. No other delivery
/// changes.
#[utoipa::path(
    post,
    path = "/api/v3/webhooks/{id}/deliveries/{deliveryId}/replay",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…"), ("deliveryId" = String, Path, description = "del_…")),
    responses(
        (status = 200, body = DeliveryView),
        (status = 404, description = "NOT_FOUND"),
        (status = 429, description = "RATE_LIMITED: more than 60 deliveries in a minute"),
    ),
)]
pub(super) async fn replay_delivery(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(path): Path<(Id<WebhookId>, Id<DeliveryId>)>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    let (webhook, earlier) = find_delivery(&app, caller.account, path.0, path.1).await?;
    Expensive::Delivery.count(&app, caller.account, &caller.call).await?;
    let message = WebhookMessage {
        id: earlier.event_id,
        number: earlier.number,
        name: earlier.event,
        body: earlier.request.body,
    };
    let sent = app.webhook_worker().send_once(caller.account, &webhook, DeliveryKind::Once, message).await?;
    Reply::ok(&DeliveryView::of(sent))
}

/// Replays a range of events in order, whenever there is no new event to deliver. If an event fails ten times, the replay
/// ends and new events continue; with `onFailure: skip`, the event is skipped and the replay continues. While a range is
/// being replayed, another one is refused unless it has `replace: true`.
#[utoipa::path(
    post,
    path = "/api/v3/webhooks/{id}/replay",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…")),
    request_body = EventRange,
    responses(
        (status = 200, body = WebhookView),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the webhook is not active; resume it first. Or another range, `details.replay`, \
            is still being replayed; wait until the webhook's `replay` is null, or send `replace: true`"),
        (status = 429, description = "RATE_LIMITED: more than 60 deliveries in a minute"),
    ),
)]
pub(super) async fn replay_events(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(id): Path<Id<WebhookId>>,
    Once { body: EventRange { after, through, replace }, id: request }: Once<EventRange>,
) -> Result<Reply, ApiError> {
    let webhook = find(&app, caller.account, id).await?;
    Expensive::Delivery.count(&app, caller.account, &caller.call).await?;
    let state = app.activity.delivery_state(caller.account, webhook.id).await?.ok_or(WebhookId::NOT_FOUND)?;
    if state.status != WebhookStatus::Active {
        return Err(ApiError::Conflict(
            "the webhook is not active; resume it first, and it receives all missed events",
        ));
    }
    let last = through.unwrap_or(state.through);
    if state.through < last {
        let problem = format!("must be at most {}, the number of the last delivered event", state.through);
        return Err(ApiError::field("through", problem));
    }
    if last <= after {
        return Err(ApiError::field("after", "must be below through"));
    }
    expect_delivery(&app, &caller).await?;
    let request = ReplayRequest { id: request, after, through: last, replaces: replace };
    let replaying = |known: &DeliveryState| known.replay_requested(&request).unwrap_or(known.clone());
    let state = app.activity.change_delivery_state(caller.account, webhook.id, replaying);
    let state = state.await?.ok_or(WebhookId::NOT_FOUND)?;
    if let Err(Replay { through: after, last: through, .. }) = state.replay_requested(&request) {
        return Err(ApiError::ReplayRunning { after, through });
    }
    deliver_soon(&app, &caller).await;
    Reply::ok(&WebhookView::of(&webhook, &state, caller.call.moment.wall))
}
