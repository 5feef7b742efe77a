use scrip_webhooks::DeliveryRequest;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::SubsecRound;
use domain::{
    self, AccountId, DeliveryState, EventName, HookSecret, HookUrl, Lane, Reference, SealedSecret, WebhookId,
};
use ports::SecretOf;
use scrip_http::{ApiError, App, Caller, NoFields, Once, OnceOptional, Params, Reply, may};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use store::{Errand, Fault, secret_bytes};
use utoipa::ToSchema;

use super::names::Happening;
use super::shape::{Webhook, WebhookWithSecret};
use super::{UNKNOWN, find, named};

/// How often one change may lose the race for a webhook.
const ATTEMPTS_MAX: u32 = 8;

const FULL: ApiError = ApiError::Conflict("there are 20 webhooks already; delete one first");

/// An endpoint of yours.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({
    "url": "https://yourdomain.com/webhooks/veriplus", "events": ["credits.low_balance", "credits.depleted"]
}))]
pub(super) struct NewWebhook {
    /// Where events are sent: https, at a public address; at most 2,048 characters.
    url: String,
    /// Which; all of them when left out or empty.
    #[schema(value_type = Option<Vec<Happening>>)]
    events: Option<BTreeSet<EventName>>,
    /// In your own words.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    description: Option<Reference>,
}

/// What is to be different. What is left out keeps its value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "status": "PAUSED" }))]
pub(super) struct WebhookChange {
    /// Where events are sent. A new one is tried at once, with attempts of its own.
    url: Option<String>,
    /// Which; all of them when empty.
    #[schema(value_type = Option<Vec<Happening>>)]
    events: Option<BTreeSet<EventName>>,
    /// In your own words; null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    description: Option<Option<Reference>>,
    /// PAUSED: nothing is sent, and all that happens is kept for it, for 30 days; ACTIVE: it has what it missed, in
    /// order, and goes on.
    status: Option<WantedStatus>,
    /// Go on with the event that follows this number, be it to pass over some or to have some again; 0 for all that
    /// the feed has.
    deliver_after: Option<u64>,
}

/// null is a value here: no description.
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {}

/// A test is sent to whoever asks for it, and to nobody else.
fn wanted(events: Option<&BTreeSet<EventName>>) -> Result<(), ApiError> {
    match events.into_iter().flatten().find(|name| !name.is_subscribable()) {
        Some(name) => {
            let problem = format!("{} is sent on demand and can't be subscribed to", name.as_str());
            Err(ApiError::field("events", problem))
        }
        None => Ok(()),
    }
}

/// A URL by the rules of where events may be sent; a name is looked up, if it leads anywhere yet.
async fn url(app: &App, text: &str) -> Result<HookUrl, ApiError> {
    let url = HookUrl::parse(text, app.sender.reach()).map_err(|problem| ApiError::field("url", problem))?;
    app.sender.check(&url).await.map_err(|problem| ApiError::field("url", problem))?;
    Ok(url)
}

/// Makes a webhook. From now on what happens is sent there, in order, signed with `secret`, which is shown this
/// once: the same request sent again answers `secret: null` and `secretShown: true`.
#[utoipa::path(
    post,
    path = "/api/v3/webhooks",
    tag = "webhooks",
    request_body = NewWebhook,
    responses(
        (status = 201, body = WebhookWithSecret),
        (status = 409, description = "CONFLICT: there are 20 of them already; delete one first"),
    ),
)]
pub(super) async fn create_webhook(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Once { body, id }: Once<NewWebhook>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    wanted(body.events.as_ref())?;
    let url = url(&app, &body.url).await?;
    let id = WebhookId::from(id);
    let owner = SecretOf { account: caller.account, webhook: id };
    if app.activity.webhook(caller.account, id).await?.is_none()
        && domain::Webhook::COUNT_MAX <= app.activity.webhooks(caller.account).await?.len()
    {
        return Err(FULL);
    }
    let secret = HookSecret::new(secret_bytes()?);
    let sealed = app.seal.seal(owner, &secret).await.map_err(Fault::from)?;
    let wanted = domain::Webhook {
        id,
        url,
        events: body.events.unwrap_or_default(),
        description: body.description,
        secrets: vec![SealedSecret { sealed, until: None }],
        rotated: false,
        created_at: moment.now.trunc_subsecs(0),
        revision: 0,
    };
    let head = app.ledger.event_head(caller.account).await?.unwrap_or(0);
    let state = DeliveryState::new(head);
    let known = app.activity.add_webhook(caller.account, &wanted, &state).await?;
    has_room(&app, &caller, id).await?;
    let state = app.activity.delivery_state(caller.account, id).await?.unwrap_or(state);
    // An earlier sending broke off after it had made the webhook: its secret is nobody's any more.
    let secret = known.is_none().then_some(secret);
    let shown = Webhook::of(known.as_ref().unwrap_or(&wanted), &state, moment.wall);
    let again = WebhookWithSecret::again(shown.clone());
    Reply::created(&WebhookWithSecret::new(shown, secret.as_ref()), false)?.shown_once(&again)
}

/// A webhook beyond those that an account may have goes again: of many that are made at once, the first stay.
async fn has_room(app: &App, caller: &Caller<may::Set>, id: WebhookId) -> Result<(), ApiError> {
    let webhooks = app.activity.webhooks(caller.account).await?;
    let first: Vec<_> =
        webhooks.iter().take(domain::Webhook::COUNT_MAX).map(|(webhook, _)| webhook.id).collect();
    if first.contains(&id) {
        return Ok(());
    }
    app.activity.delete_webhook(caller.account, id, caller.call.moment).await?;
    Err(FULL)
}

/// The organisation's webhooks, the oldest first.
#[utoipa::path(get, path = "/api/v3/webhooks", tag = "webhooks", responses((status = 200, body = Vec<Webhook>)))]
pub(super) async fn list_webhooks(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    let wall = caller.call.moment.wall;
    let webhooks = app.activity.webhooks(caller.account).await?;
    let webhooks: Vec<_> =
        webhooks.iter().map(|(webhook, state)| Webhook::of(webhook, state, wall)).collect();
    Reply::page(&webhooks, None)
}

/// One webhook.
#[utoipa::path(
    get,
    path = "/api/v3/webhooks/{id}",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…")),
    responses((status = 200, body = Webhook), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn read_webhook(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
    Path(id): Path<String>,
) -> Result<Reply, ApiError> {
    let webhook = find(&app, caller.account, id).await?;
    shown(&app, &caller, &webhook).await
}

async fn shown<S>(app: &App, caller: &Caller<S>, webhook: &domain::Webhook) -> Result<Reply, ApiError> {
    let state = app.activity.delivery_state(caller.account, webhook.id).await?.ok_or(UNKNOWN)?;
    Reply::ok(&Webhook::of(webhook, &state, caller.call.moment.wall))
}

/// Changes a webhook: where to, what, whether and from where on. Sent again it changes nothing more, but that
/// `deliverAfter` begins there again.
#[utoipa::path(
    patch,
    path = "/api/v3/webhooks/{id}",
    tag = "webhooks",
    params(("id" = String, Path, description = "wh_…")),
    request_body = WebhookChange,
    responses((status = 200, body = Webhook), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn change_webhook(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(id): Path<String>,
    Once { body: change, .. }: Once<WebhookChange>,
) -> Result<Reply, ApiError> {
    let id = named(id)?;
    wanted(change.events.as_ref())?;
    let url = match &change.url {
        Some(text) => Some(url(&app, text).await?),
        None => None,
    };
    let head = app.ledger.event_head(caller.account).await?.unwrap_or(0);
    if change.deliver_after.is_some_and(|number| head < number) {
        let problem = format!("must be a whole number from 0 to {head}, the number of the last event");
        return Err(ApiError::field("deliverAfter", problem));
    }
    let (webhook, is_moved) = changed(&app, &caller, id, (&change, url)).await?;
    expect_delivery(&app, &caller).await?;
    let unwanted = unwanted(&app, caller.account, &webhook).await?;
    let state = app.activity.change_delivery_state(caller.account, id, |known| {
        let known =
            unwanted.iter().fold(known.clone(), |known, (lane, number)| known.unwanted(*lane, *number));
        let known = change.deliver_after.map_or(known.clone(), |number| known.from_after(number));
        match change.status {
            Some(WantedStatus::Paused) => known.paused(),
            Some(WantedStatus::Active) if !known.is_active() => known.resumed(),
            // A new address is tried at once.
            Some(WantedStatus::Active) | None if is_moved => known.unhindered(),
            Some(WantedStatus::Active) | None => known,
        }
    });
    let state = state.await?.ok_or(UNKNOWN)?;
    deliver_soon(&app, &caller).await;
    Reply::ok(&Webhook::of(&webhook, &state, caller.call.moment.wall))
}

/// Events that have failed so far, and that its owner does not want any more: what is wanted need not wait for them.
async fn unwanted(
    app: &App,
    account: AccountId,
    webhook: &domain::Webhook,
) -> Result<Vec<(Lane, u64)>, ApiError> {
    let state = app.activity.delivery_state(account, webhook.id).await?.ok_or(UNKNOWN)?;
    let mut unwanted = Vec::new();
    for lane in [Lane::Live, Lane::Replay] {
        let Some(place) = state.place(lane).filter(|_| 0 < state.failures(lane)) else { continue };
        let (events, _) = app.ledger.events(account, place, 1).await?;
        let events = events.into_iter().filter(|event| !webhook.wants(&event.name));
        unwanted.extend(events.map(|event| (lane, event.number)));
    }
    Ok(unwanted)
}

/// Sees to it that somebody looks at what is about to be due, whatever breaks off.
pub(super) async fn expect_delivery<S>(app: &App, caller: &Caller<S>) -> Result<(), ApiError> {
    app.ledger.note(Errand::Webhooks(caller.account), app.clock.moment().now).await?;
    Ok(())
}

/// Has what is due delivered at once. Where that can't be said, its errand does.
pub(super) async fn deliver_soon<S>(app: &App, caller: &Caller<S>) {
    if let Err(error) = app.deliveries.send(&DeliveryRequest::Account { account: caller.account }, 0).await {
        tracing::warn!(account = %caller.account, cause = &error as &dyn std::error::Error, "webhooks wait for their errand");
    }
}

/// The webhook with its settings changed, and whether it has another address now.
async fn changed<S>(
    app: &App,
    caller: &Caller<S>,
    id: WebhookId,
    (change, url): (&WebhookChange, Option<HookUrl>),
) -> Result<(domain::Webhook, bool), ApiError> {
    for _ in 0..ATTEMPTS_MAX {
        let known = app.activity.webhook(caller.account, id).await?.ok_or(UNKNOWN)?;
        let wanted = domain::Webhook {
            url: url.clone().unwrap_or_else(|| known.url.clone()),
            events: change.events.clone().unwrap_or_else(|| known.events.clone()),
            description: change.description.clone().unwrap_or_else(|| known.description.clone()),
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

/// Deletes a webhook: nothing more is sent there.
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
    Path(id): Path<String>,
    _: OnceOptional<NoFields>,
) -> Result<Reply, ApiError> {
    let id = named(id)?;
    match app.activity.delete_webhook(caller.account, id, caller.call.moment).await? {
        true => Reply::ok(&json!({ "webhookId": id.to_string(), "deleted": true })),
        false => Err(UNKNOWN),
    }
}
