//! Holds: credits set aside for what is about to be done, then spent or given back.

mod shape;

use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use domain::{
    self, Amount, ClaimKey, Credits, Details, Fingerprint, HOLD_SECONDS, HOLD_SECONDS_MAX, HoldId,
    IdempotencyKey, Metadata, Operation, Portion, Pot, PriceList, Quantity, Receipt, Reference, Refusal,
    Service, Why, hold_ends,
};
use scrip_http::{ApiError, App, Brief, Caller, Intent, Reply, may};
use serde::Deserialize;
use store::{Asking, Claim, Errand, Unsettled, of_hold};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use shape::Hold;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(make_hold))
        .routes(routes!(hold))
        .routes(routes!(capture_hold))
        .routes(routes!(release_hold))
}

/// Credits to be set aside: what an operation costs, or so many.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "operation": "verification.enhanced", "resourceId": "verif_xyz789", "expiresInSeconds": 600 }))]
struct NewHold {
    /// An operation of the price list.
    #[schema(value_type = Option<String>)]
    operation: Option<Reference>,
    /// How many times, 1 to 1,000,000; once when left out.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000)]
    quantity: Option<Quantity>,
    /// So many credits, 1 to 10^12, in place of an operation.
    #[schema(value_type = Option<u64>, minimum = 1)]
    amount: Option<Amount>,
    /// For how long, 1 to 2,678,400 seconds (31 days); an hour when left out.
    #[schema(minimum = 1, maximum = 2_678_400)]
    expires_in_seconds: Option<u32>,
    /// Your name for what is about to be checked.
    #[schema(value_type = Option<String>, max_length = 255)]
    resource_id: Option<Reference>,
    /// Your name for the customer on whose behalf.
    #[schema(value_type = Option<String>, max_length = 255)]
    customer_id: Option<Reference>,
    /// Your name for the member of staff who does it.
    #[schema(value_type = Option<String>, max_length = 255)]
    member_id: Option<Reference>,
    /// The service that is used: lots set aside for it pay, and pay first.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    /// Your own key and value pairs.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    metadata: Option<Metadata>,
}

/// How much is captured.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Capture {
    /// How many credits; all that is left when left out.
    #[schema(value_type = Option<u64>, minimum = 1)]
    amount: Option<Amount>,
}

/// The body is empty.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Release {}

/// Sets credits aside. Nobody else can spend them, and they are not used; those that are not captured by
/// `expiresAt` are given back by themselves, within minutes.
#[utoipa::path(
    post,
    path = "/api/v3/credits/holds",
    tag = "holds",
    params(("Idempotency-Key" = String, Header, description = "Your name for this request, 1 to 255 visible ASCII characters")),
    request_body = NewHold,
    responses(
        (status = 201, body = Hold),
        (status = 402, description = "INSUFFICIENT_CREDITS: `details` has `required` and `available`, the credits that this hold could use, with what is left of the post-paid limit; nothing was set aside"),
        (status = 403, description = "PLAN_LIMIT_REACHED: this month's debits would pass the safety limit of an unlimited plan; ORGANISATION_FROZEN"),
    ),
)]
async fn make_hold(
    State(app): State<Arc<App>>,
    caller: Caller<may::Consume>,
    intent: Intent<NewHold>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let (request, mut details) = intent.body.priced(&catalogue.prices, moment.now)?;
    details.key_id = Some(caller.key);
    details.request_id = Some(caller.call.id.to_string());
    if let Some(end) = details.expires_at {
        // Somebody looks at its end, whatever crashes before it is answered.
        app.ledger.note(Errand::Calendar(caller.account), end).await?;
    }
    let claim =
        Claim { key: &ClaimKey::Caller(intent.key), fingerprint: &intent.fingerprint, details: &details };
    let decide = |account: &domain::Account, head: &domain::Head| domain::hold(account, &request, head);
    let settled = app.ledger.spend(caller.account, claim, moment, decide).await?;
    // What was answered first: as it was made.
    let held = Hold::new(&settled.receipt, &Pot::of(&settled.receipt), settled.receipt.entry.at);
    Reply::created(&held, settled.replayed)
}

/// A hold as it is now.
#[utoipa::path(
    get,
    path = "/api/v3/credits/holds/{id}",
    tag = "holds",
    params(("id" = String, Path, description = "hold_…")),
    responses((status = 200, body = Hold), (status = 404, description = "NOT_FOUND")),
)]
async fn hold(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Path(id): Path<String>,
) -> Result<Reply, ApiError> {
    let now = caller.call.moment.now;
    let hold = find(&app, &caller, id).await?;
    // Whoever looks after its end gives back what it has, before anybody else has done so; and what broke off
    // goes on.
    match app.ledger.look_after_pot(caller.account, hold.entry.id, caller.call.moment).await {
        Ok(()) | Err(Unsettled::InProgress) => (),
        Err(unsettled) => return Err(unsettled.into()),
    }
    let pot = app.ledger.pot(caller.account, hold.entry.id).await?.unwrap_or_else(|| Pot::of(&hold));
    Reply::ok(&Hold::new(&hold, &pot, now))
}

/// Spends what a hold has set aside: all of it, or a part, and then the rest stays held.
#[utoipa::path(
    post,
    path = "/api/v3/credits/holds/{id}/capture",
    tag = "holds",
    params(
        ("id" = String, Path, description = "hold_…"),
        ("Idempotency-Key" = String, Header, description = "Your name for this request, 1 to 255 visible ASCII characters"),
    ),
    request_body(content = Option<Capture>),
    responses(
        (status = 201, body = Hold),
        (status = 402, description = "INSUFFICIENT_CREDITS: more is to be captured than the hold has left, which is `details.available`; nothing was captured"),
        (status = 403, description = "ORGANISATION_FROZEN"),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "HOLD_CLOSED: captured, released or expired; OPERATION_IN_PROGRESS, with Retry-After; CONFLICT"),
    ),
)]
async fn capture_hold(
    State(app): State<Arc<App>>,
    caller: Caller<may::Consume>,
    Path(id): Path<String>,
    Brief(intent): Brief<Capture>,
) -> Result<Reply, ApiError> {
    let now = caller.call.moment.now;
    let amount = intent.body.amount.map(Credits::from);
    let decide = move |pot: &Pot| pot.to_capture(amount, now);
    draw(&app, &caller, id, (&Why::Capture, intent.key, intent.fingerprint), decide).await
}

/// Gives back what a hold still has.
#[utoipa::path(
    post,
    path = "/api/v3/credits/holds/{id}/release",
    tag = "holds",
    params(
        ("id" = String, Path, description = "hold_…"),
        ("Idempotency-Key" = String, Header, description = "Your name for this request, 1 to 255 visible ASCII characters"),
    ),
    request_body(content = Option<Release>),
    responses(
        (status = 201, body = Hold),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "HOLD_CLOSED: captured, released or expired; OPERATION_IN_PROGRESS, with Retry-After; CONFLICT"),
    ),
)]
async fn release_hold(
    State(app): State<Arc<App>>,
    caller: Caller<may::Consume>,
    Path(id): Path<String>,
    Brief(intent): Brief<Release>,
) -> Result<Reply, ApiError> {
    let now = caller.call.moment.now;
    let decide = move |pot: &Pot| pot.to_release(&Why::Release, now);
    draw(&app, &caller, id, (&Why::Release, intent.key, intent.fingerprint), decide).await
}

async fn draw(
    app: &App,
    caller: &Caller<may::Consume>,
    id: String,
    (why, key, asked): (&Why, IdempotencyKey, Fingerprint),
    decide: impl Fn(&Pot) -> Result<Portion, Refusal> + Send + Sync,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let hold = find(app, caller, id).await?;
    let details =
        Details { key_id: Some(caller.key), request_id: Some(caller.call.id.to_string()), ..of_hold(&hold) };
    let claim = Claim { key: &ClaimKey::Caller(key), fingerprint: &asked, details: &details };
    let asking = Asking { claim, why, moment };
    match app.ledger.draw(caller.account, &hold, asking, decide).await {
        Ok(taken) => {
            let at = taken.settled.receipt.entry.at;
            Reply::created(&Hold::as_of_draw(&hold, &taken.pot, at), taken.settled.replayed)
        }
        Err(closed @ Unsettled::Refused(Refusal::HoldClosed(_))) => {
            // One that has ended gives back what it has to whoever looks first.
            match app.ledger.expire(caller.account, &hold, moment).await {
                Ok(()) | Err(Unsettled::InProgress) => Err(closed.into()),
                Err(unsettled) => Err(unsettled.into()),
            }
        }
        Err(unsettled) => Err(unsettled.into()),
    }
}

async fn find<S: scrip_http::Needs>(app: &App, caller: &Caller<S>, id: String) -> Result<Receipt, ApiError> {
    const UNKNOWN: ApiError = ApiError::NotFound(
        "there is no hold with this id in this ledger; send the `holdId` that POST /api/v3/credits/holds answered",
    );
    let id = HoldId::try_from(id).map_err(|_| UNKNOWN)?;
    let found = app.ledger.find(caller.account, id.into()).await?;
    found.filter(Receipt::is_hold).ok_or(UNKNOWN)
}

impl NewHold {
    /// What is set aside, and what its transaction says but for who has asked.
    fn priced(self, prices: &PriceList, now: DateTime<Utc>) -> Result<(domain::Consume, Details), ApiError> {
        let seconds = self.expires_in_seconds.unwrap_or(HOLD_SECONDS);
        if !(1..=HOLD_SECONDS_MAX).contains(&seconds) {
            let problem = format!("must be a whole number from 1 to {HOLD_SECONDS_MAX}");
            return Err(ApiError::field("expiresInSeconds", problem));
        }
        let details = Details {
            resource_id: self.resource_id,
            customer_id: self.customer_id,
            member_id: self.member_id,
            service: self.service,
            metadata: self.metadata.unwrap_or_default(),
            expires_at: Some(hold_ends(now, seconds)),
            ..Details::default()
        };
        match (self.operation, self.amount) {
            (Some(name), None) => {
                let quantity = self.quantity.unwrap_or(Quantity::ONE);
                let (operation, price) = prices.price(&name, now)?;
                let purpose = Some(operation.clone());
                let request = domain::Consume::priced(operation, price, quantity, self.service)?;
                let details = Details {
                    quantity: Some(quantity),
                    price_version: Some(price.version),
                    purpose,
                    ..details
                };
                Ok((request, details))
            }
            (None, Some(amount)) if self.quantity.is_none() => {
                let operation = Operation::of_hold();
                Ok((domain::Consume { operation, amount: amount.into(), service: self.service }, details))
            }
            (None, Some(_)) => Err(ApiError::field(
                "quantity",
                "goes with `operation`; `amount` says how many credits by itself",
            )),
            (Some(_), Some(_)) => {
                Err(ApiError::field("amount", "goes without `operation`; send one of the two"))
            }
            (None, None) => Err(ApiError::field("operation", "must be given, or `amount`")),
        }
    }
}
