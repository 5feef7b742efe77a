//! Webhook endpoints: create, list, read, change and delete.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::SubsecRound;
use domain::{
    self, AccountId, DeliveryLane, DeliveryState, EventName, OnFailure, Reference, SealedSecret, WebhookId,
    WebhookSecret, WebhookUrl,
};
use ports::SecretOf;
use scrip_http::{
    ApiError, App, Caller, Happening, Id, NoFields, OnFailureSetting, Once, OptionalBody, PathId, Reply,
    WebhookView, may,
};
use scrip_webhooks::DeliveryRequest;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use store::{AddedWebhook, Fault, Job, secret_bytes};
use utoipa::ToSchema;

use super::find;
use super::response::{ChangedWebhook, LostEvents, WebhookWithSecret};

/// The most attempts of one change. Each failed attempt means that another change was written meanwhile.
const ATTEMPTS_MAX: u32 = 64;

const FULL: ApiError = ApiError::Conflict("there are 20 webhooks already; delete one first");

/// A webhook to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({
    "url": "https://yourdomain.com/webhooks/veriplus", "events": ["credits.low_balance", "credits.depleted"]
}))]
pub(super) struct NewWebhook {
    /// The URL to send events to: https, with a public address, at most 2,048 characters.
    url: String,
    /// The events to subscribe to; all events if left out or empty.
    #[schema(value_type = Option<Vec<Happening>>)]
    events: Option<BTreeSet<EventName>>,
    /// Your description.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    description: Option<Reference>,
    /// What follows when the endpoint does not accept an event; block if left out.
    on_failure: Option<OnFailureSetting>,
}

/// A change of a webhook. Fields that are left out keep their values.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "status": "PAUSED" }))]
pub(super) struct WebhookChange {
    /// The URL to send events to. A new URL is tried at once, with a new count of attempts.
    url: Option<String>,
    /// The events to subscribe to; all events if empty.
    #[schema(value_type = Option<Vec<Happening>>)]
    events: Option<BTreeSet<EventName>>,
    /// Your description; null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    description: Option<Option<Reference>>,
    /// What follows when the endpoint does not accept an event. If skip allows fewer attempts than an event has had, it is
    /// tried once more at once.
    on_failure: Option<OnFailureSetting>,
    /// PAUSED: nothing is sent, and events are kept for 30 days. ACTIVE: the missed events are delivered in order, then new
    /// ones. `lostEvents` in the answer says which were deleted meanwhile.
    status: Option<WantedStatus>,
    /// Continue with the event after this number: a later one to skip events, for example one that your endpoint can never
    /// process, or an earlier one to receive events again; 0 for all events of the feed.
    deliver_after: Option<u64>,
}

/// Reads a field in which null is a value: no description.
fn given<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Option<Reference>>, D::Error> {
    Option::deserialize(input).map(Some)
}

/// Whether events are sent.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum WantedStatus {
    Active,
    Paused,
}

/// Refuses events that are only sent on demand.
fn check_events(events: Option<&BTreeSet<EventName>>) -> Result<(), ApiError> {
    match events.into_iter().flatten().find(|name| !name.is_subscribable()) {
        Some(name) => {
            let problem = format!("{} is only sent on demand; it cannot be subscribed to", name.as_str());
            Err(ApiError::field("events", problem))
        }
        None => Ok(()),
    }
}

/// Parses a URL and checks it against the address policy. A host name that resolves is checked, too.
async fn url(app: &App, text: &str) -> Result<WebhookUrl, ApiError> {
    let url =
        WebhookUrl::parse(text, app.sender.policy()).map_err(|problem| ApiError::field("url", problem))?;
    app.sender.check(&url).await.map_err(|problem| ApiError::field("url", problem))?;
    Ok(url)
}

/// Creates a webhook. From now on events are sent to it in order, signed with `secret`, which is shown once: a retry of the
/// request answers `secret: null` and `secretShown: true`.
#[utoipa::path(
    post,
    path = "/api/v3/webhooks",
    tag = "webhooks",
    request_body = NewWebhook,
    responses(
        (status = 201, body = WebhookWithSecret),
        (status = 409, description = "CONFLICT: there are 20 webhooks already; delete one first"),
    ),
)]
pub(super) async fn create_webhook(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Once { body, id }: Once<NewWebhook>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    check_events(body.events.as_ref())?;
    let on_failure = body.on_failure.map(OnFailureSetting::rule).transpose()?.unwrap_or_default();
    let url = url(&app, &body.url).await?;
    let id = WebhookId::from(id);
    let owner = SecretOf { account: caller.account, webhook: id };
    let secret = WebhookSecret::new(secret_bytes()?);
    let sealed = app.seal.seal(owner, &secret).await.map_err(Fault::from)?;
    let wanted = domain::Webhook {
        id,
        url,
        events: body.events.unwrap_or_default(),
        description: body.description,
        on_failure,
        secrets: vec![SealedSecret { sealed, until: None }],
        rotated: false,
        created_at: moment.now.trunc_subsecs(0),
        revision: 0,
    };
    let head = app.ledger.event_head(caller.account).await?.unwrap_or(0);
    let state = DeliveryState::new(head);
    let known = match app.activity.add_webhook(caller.account, &wanted, &state, moment).await? {
        AddedWebhook::Added => None,
        AddedWebhook::Known(known) => Some(*known),
        AddedWebhook::Full => return Err(FULL),
    };
    let state = app.activity.delivery_state(caller.account, id).await?.unwrap_or(state);
    // An earlier attempt was interrupted after it had created the webhook: its secret is lost.
    let secret = known.is_none().then_some(secret);
    let shown = WebhookView::of(known.as_ref().unwrap_or(&wanted), &state, moment.wall);
    let again = WebhookWithSecret::again(shown.clone());
    Reply::created(&WebhookWithSecret::new(shown, secret.as_ref()), false)?.shown_once(&again)
}

/// Lists the organisation's webhooks, the oldest first.
#[utoipa::path(get, path = "/api/v3/webhooks", tag = "webhooks", responses((status = 200, body = Vec<WebhookView>)))]
pub(super) async fn list_webhooks(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
) -> Result<Reply, ApiError> {
    let wall = caller.call.moment.wall;
    let webhooks = app.activity.webhooks(caller.account).await?;
    let webhooks: Vec<_> =
        webhooks.iter().map(|(webhook, state)| WebhookView::of(webhook, state, wall)).collect();
    Reply::page(&webhooks, None)
}

/// Returns a webhook.
#[utoipa::path(
    get,
    path = "/api/v3/webhooks/{id}",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…")),
    responses((status = 200, body = WebhookView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn read_webhook(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
    Path(id): Path<Id<WebhookId>>,
) -> Result<Reply, ApiError> {
    let webhook = find(&app, caller.account, id).await?;
    shown(&app, &caller, &webhook).await
}

async fn shown<S>(app: &App, caller: &Caller<S>, webhook: &domain::Webhook) -> Result<Reply, ApiError> {
    let state = app.activity.delivery_state(caller.account, webhook.id).await?.ok_or(WebhookId::NOT_FOUND)?;
    Reply::ok(&WebhookView::of(webhook, &state, caller.call.moment.wall))
}

/// Changes a webhook: its URL, events, status or position. A retry changes nothing more, except that `deliverAfter` moves it
/// there again.
#[utoipa::path(
    patch,
    path = "/api/v3/webhooks/{id}",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…")),
    request_body = WebhookChange,
    responses((status = 200, body = ChangedWebhook), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn change_webhook(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(id): Path<Id<WebhookId>>,
    Once { body: change, .. }: Once<WebhookChange>,
) -> Result<Reply, ApiError> {
    let id = id.found()?;
    check_events(change.events.as_ref())?;
    let on_failure = change.on_failure.map(OnFailureSetting::rule).transpose()?;
    let url = match &change.url {
        Some(text) => Some(url(&app, text).await?),
        None => None,
    };
    let head = app.ledger.event_head(caller.account).await?.unwrap_or(0);
    if change.deliver_after.is_some_and(|number| head < number) {
        let problem = format!("must be a whole number from 0 to {head}, the number of the last event");
        return Err(ApiError::field("deliverAfter", problem));
    }
    let change = NewSettings { url, on_failure, change };
    let (webhook, is_moved) = changed(&app, &caller, id, &change).await?;
    let NewSettings { on_failure, change, .. } = change;
    expect_delivery(&app, &caller).await?;
    let unwanted = unwanted(&app, caller.account, &webhook).await?;
    let state = app.activity.change_delivery_state(caller.account, id, |known| {
        let known =
            unwanted.iter().fold(known.clone(), |known, (lane, number)| known.unwanted(*lane, *number));
        let known = change.deliver_after.map_or(known.clone(), |number| known.from_after(number));
        let known = on_failure.map_or(known.clone(), |on_failure| known.hastened(on_failure));
        match change.status {
            Some(WantedStatus::Paused) => known.paused(),
            Some(WantedStatus::Active) if !known.is_active() => known.resumed(),
            Some(WantedStatus::Active) | None if is_moved => known.unhindered(),
            Some(WantedStatus::Active) | None => known,
        }
    });
    let state = state.await?.ok_or(WebhookId::NOT_FOUND)?;
    deliver_soon(&app, &caller).await;
    let lost_events = lost_events(&app, caller.account, state.through).await?;
    let webhook = WebhookView::of(&webhook, &state, caller.call.moment.wall);
    Reply::ok(&ChangedWebhook { webhook, lost_events })
}

/// The events after a number that the feed does not have any more.
async fn lost_events(app: &App, account: AccountId, through: u64) -> Result<Option<LostEvents>, ApiError> {
    let (events, _) = app.ledger.events(account, through, 1).await?;
    let first_sequence = through.saturating_add(1);
    let lost = events.first().filter(|first| first_sequence < first.number);
    Ok(lost.map(|first| LostEvents { first_sequence, last_sequence: first.number.saturating_sub(1) }))
}

/// Events that have failed so far and that the webhook no longer subscribes to. Later events need not wait for them.
async fn unwanted(
    app: &App,
    account: AccountId,
    webhook: &domain::Webhook,
) -> Result<Vec<(DeliveryLane, u64)>, ApiError> {
    let state = app.activity.delivery_state(account, webhook.id).await?.ok_or(WebhookId::NOT_FOUND)?;
    let mut unwanted = Vec::new();
    for lane in [DeliveryLane::Live, DeliveryLane::Replay] {
        let Some(place) = state.place(lane).filter(|_| 0 < state.failures(lane)) else { continue };
        let (events, _) = app.ledger.events(account, place, 1).await?;
        let events = events.into_iter().filter(|event| !webhook.is_subscribed_to(&event.name));
        unwanted.extend(events.map(|event| (lane, event.number)));
    }
    Ok(unwanted)
}

/// Schedules a delivery job, in case this request is interrupted.
pub(super) async fn expect_delivery<S>(app: &App, caller: &Caller<S>) -> Result<(), ApiError> {
    app.ledger.schedule(Job::Webhooks(caller.account), app.clock.moment().now).await?;
    Ok(())
}

/// Requests immediate delivery of due events. If the queue is unavailable, the scheduled job delivers them.
pub(super) async fn deliver_soon<S>(app: &App, caller: &Caller<S>) {
    if let Err(error) = app.deliveries.send(&DeliveryRequest::Account { account: caller.account }, 0).await {
        tracing::warn!(account = %caller.account, cause = &error as &dyn std::error::Error, "delivery is left to the scheduled job");
    }
}

/// A change of a webhook whose fields are checked.
struct NewSettings {
    url: Option<WebhookUrl>,
    on_failure: Option<OnFailure>,
    change: WebhookChange,
}

/// The webhook with its settings changed, and whether its URL has changed.
async fn changed<S>(
    app: &App,
    caller: &Caller<S>,
    id: WebhookId,
    NewSettings { url, on_failure, change }: &NewSettings,
) -> Result<(domain::Webhook, bool), ApiError> {
    for _ in 0..ATTEMPTS_MAX {
        let known = app.activity.webhook(caller.account, id).await?.ok_or(WebhookId::NOT_FOUND)?;
        let wanted = domain::Webhook {
            url: url.clone().unwrap_or_else(|| known.url.clone()),
            events: change.events.clone().unwrap_or_else(|| known.events.clone()),
            description: change.description.clone().unwrap_or_else(|| known.description.clone()),
            on_failure: on_failure.unwrap_or(known.on_failure),
            ..known.clone()
        };
        if wanted == known {
            return Ok((known, false));
        }
        if let Some(saved) = app.activity.save_webhook(caller.account, &wanted).await? {
            return Ok((saved, wanted.url != known.url));
        }
    }
    Err(Fault::Busy.into())
}

/// Deletes a webhook: no more events are sent to it.
#[utoipa::path(
    delete,
    path = "/api/v3/webhooks/{id}",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…")),
    responses((status = 200, body = Object, example = json!({ "webhookId": "wh_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "deleted": true })), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn delete_webhook(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(id): Path<Id<WebhookId>>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    let id = id.found()?;
    match app.activity.delete_webhook(caller.account, id, caller.call.moment).await? {
        true => Reply::ok(&json!({ "webhookId": id.to_string(), "deleted": true })),
        false => Err(WebhookId::NOT_FOUND),
    }
}
