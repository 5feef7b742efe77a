//! Holds: credits set aside for an operation, then captured or released.

use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use domain::{
    self, Amount, ClaimKey, Credits, Details, DrawdownReason, DrawdownShares, Fingerprint, HOLD_SECONDS,
    HOLD_SECONDS_MAX, HoldId, IdempotencyKey, Metadata, Operation, PriceList, Quantity, Receipt, Reference,
    Refusal, Remainder, Service, hold_ends,
};
use scrip_http::{
    ApiError, App, Caller, HoldView, Id, IdempotencyHeader, Idempotent, IdempotentOptional, PathId, Reply,
    may,
};
use serde::Deserialize;
use store::{Claim, DrawdownRequest, Job, Unsettled, hold_details};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(make_hold))
        .routes(routes!(hold))
        .routes(routes!(capture_hold))
        .routes(routes!(release_hold))
}

/// A hold to make: of an operation's price, or of a number of credits.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "operation": "verification.enhanced", "resourceId": "verif_xyz789", "expiresInSeconds": 600 }))]
struct NewHold {
    /// An operation of the price list.
    #[schema(value_type = Option<String>)]
    operation: Option<Reference>,
    /// The number of operations, 1 to 1,000,000; 1 if left out.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000)]
    quantity: Option<Quantity>,
    /// A number of credits, 1 to 10^12, in place of an operation.
    #[schema(value_type = Option<u64>, minimum = 1)]
    amount: Option<Amount>,
    /// How long to hold them, 1 to 2,678,400 seconds (31 days); an hour if left out.
    #[schema(minimum = 1, maximum = 2_678_400)]
    expires_in_seconds: Option<u32>,
    /// Your name for the resource.
    #[schema(value_type = Option<String>, max_length = 255)]
    resource_id: Option<Reference>,
    /// Your name for the customer.
    #[schema(value_type = Option<String>, max_length = 255)]
    customer_id: Option<Reference>,
    /// Your name for the member of staff.
    #[schema(value_type = Option<String>, max_length = 255)]
    member_id: Option<Reference>,
    /// The service that is used. Credits reserved for it are taken first.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    /// Your own key and value pairs.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    metadata: Option<Metadata>,
}

/// A capture to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Capture {
    /// Credits to capture; the whole remainder if left out.
    #[schema(value_type = Option<u64>, minimum = 1)]
    amount: Option<Amount>,
}

/// A release, whose body is empty.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Release {}

/// Sets credits aside. No other request can spend them. Credits that are not captured by `expiresAt` are released
/// automatically within minutes.
#[utoipa::path(
    post,
    path = "/api/v3/credits/holds",
    tag = "holds",
    params(IdempotencyHeader),
    request_body = NewHold,
    responses(
        (status = 201, body = HoldView),
        (status = 402, description = "INSUFFICIENT_CREDITS: `details` has `required` and `available`, the credits that this hold could use, including the rest of the post-paid limit; nothing was set aside"),
        (status = 403, description = "BUDGET_EXCEEDED: a budget has no room, `details` says which; PLAN_LIMIT_REACHED: this month's debits would exceed the safety limit of an unlimited plan; ORGANISATION_FROZEN"),
    ),
)]
async fn make_hold(
    State(app): State<Arc<App>>,
    caller: Caller<may::Spend>,
    intent: Idempotent<NewHold>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let (request, mut details) = intent.body.priced(&catalogue.prices, moment.now)?;
    details.key_id = Some(caller.key);
    details.super_admin = caller.super_admin();
    details.request_id = Some(caller.call.id.to_string());
    if let Some(end) = details.expires_at {
        // The job comes first, so that a crash before the answer cannot leave the hold without an end.
        app.ledger.schedule(Job::Calendar(caller.account), end).await?;
    }
    let claim =
        Claim { key: &ClaimKey::Caller(intent.key), fingerprint: &intent.fingerprint, details: &details };
    let decide =
        |account: &domain::Account, attempt: &domain::Attempt| domain::hold(account, &request, attempt);
    let settled = app.ledger.spend(caller.account, claim, moment, decide).await?;
    // A retry gets the first answer: the hold as it was made.
    let held = HoldView::new(&settled.receipt, &Remainder::of(&settled.receipt), settled.receipt.entry.at);
    Reply::created(&held, settled.replayed)
}

/// Returns a hold.
#[utoipa::path(
    get,
    path = "/api/v3/credits/holds/{id}",
    tag = "holds",
    params(("id" = String, Path, description = "hold_…")),
    responses((status = 200, body = HoldView), (status = 404, description = "NOT_FOUND")),
)]
async fn hold(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Path(id): Path<Id<HoldId>>,
) -> Result<Reply, ApiError> {
    let now = caller.call.moment.now;
    let hold = find(&app, &caller, id).await?;
    // This request releases an ended hold if the scheduled job has not run yet. It also finishes an interrupted change.
    match app.ledger.finish_drawdown(caller.account, hold.entry.id, caller.call.moment).await {
        Ok(()) | Err(Unsettled::InProgress) => (),
        Err(unsettled) => return Err(unsettled.into()),
    }
    let remainder =
        app.ledger.remainder(caller.account, hold.entry.id).await?.unwrap_or_else(|| Remainder::of(&hold));
    Reply::ok(&HoldView::new(&hold, &remainder, now))
}

/// Captures a hold, in whole or in part. After a partial capture the rest stays held.
#[utoipa::path(
    post,
    path = "/api/v3/credits/holds/{id}/capture",
    tag = "holds",
    params(
        ("id" = String, Path, description = "hold_…"),
        IdempotencyHeader,
    ),
    request_body(content = Option<Capture>),
    responses(
        (status = 201, body = HoldView),
        (status = 402, description = "INSUFFICIENT_CREDITS: more is to be captured than the hold has left, which is `details.available`; nothing was captured"),
        (status = 403, description = "ORGANISATION_FROZEN"),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "HOLD_CLOSED: captured, released or expired; OPERATION_IN_PROGRESS, with Retry-After; CONFLICT"),
    ),
)]
async fn capture_hold(
    State(app): State<Arc<App>>,
    caller: Caller<may::Spend>,
    Path(id): Path<Id<HoldId>>,
    IdempotentOptional(intent): IdempotentOptional<Capture>,
) -> Result<Reply, ApiError> {
    let now = caller.call.moment.now;
    let amount = intent.body.amount.map(Credits::from);
    let decide = move |remainder: &Remainder| remainder.to_capture(amount, now);
    let request =
        DrawRequest { why: &DrawdownReason::Capture, key: intent.key, fingerprint: intent.fingerprint };
    draw_down(&app, &caller, id, request, decide).await
}

/// Releases the rest of a hold.
#[utoipa::path(
    post,
    path = "/api/v3/credits/holds/{id}/release",
    tag = "holds",
    params(
        ("id" = String, Path, description = "hold_…"),
        IdempotencyHeader,
    ),
    request_body(content = Option<Release>),
    responses(
        (status = 201, body = HoldView),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "HOLD_CLOSED: captured, released or expired; OPERATION_IN_PROGRESS, with Retry-After; CONFLICT"),
    ),
)]
async fn release_hold(
    State(app): State<Arc<App>>,
    caller: Caller<may::Spend>,
    Path(id): Path<Id<HoldId>>,
    IdempotentOptional(intent): IdempotentOptional<Release>,
) -> Result<Reply, ApiError> {
    let now = caller.call.moment.now;
    let decide = move |remainder: &Remainder| remainder.to_release(&DrawdownReason::Release, now);
    let request =
        DrawRequest { why: &DrawdownReason::Release, key: intent.key, fingerprint: intent.fingerprint };
    draw_down(&app, &caller, id, request, decide).await
}

/// A request to capture or release a hold.
struct DrawRequest<'a> {
    why: &'a DrawdownReason,
    key: IdempotencyKey,
    fingerprint: Fingerprint,
}

async fn draw_down(
    app: &App,
    caller: &Caller<may::Spend>,
    id: Id<HoldId>,
    request: DrawRequest<'_>,
    decide: impl Fn(&Remainder) -> Result<DrawdownShares, Refusal> + Send + Sync,
) -> Result<Reply, ApiError> {
    let DrawRequest { why, key, fingerprint: asked } = request;
    let moment = caller.call.moment;
    let hold = find(app, caller, id).await?;
    let details = Details {
        key_id: Some(caller.key),
        super_admin: caller.super_admin(),
        request_id: Some(caller.call.id.to_string()),
        ..hold_details(&hold)
    };
    let claim = Claim { key: &ClaimKey::Caller(key), fingerprint: &asked, details: &details };
    let asking = DrawdownRequest { claim, why, moment };
    match app.ledger.draw_down(caller.account, &hold, asking, decide).await {
        Ok(taken) => {
            let at = taken.settled.receipt.entry.at;
            Reply::created(&HoldView::as_of_drawdown(&hold, &taken.remainder, at), taken.settled.replayed)
        }
        Err(closed @ Unsettled::Refused(Refusal::HoldClosed(_))) => {
            // The first request after the end of a hold releases it.
            match app.ledger.expire(caller.account, &hold, moment).await {
                Ok(()) | Err(Unsettled::InProgress) => Err(closed.into()),
                Err(unsettled) => Err(unsettled.into()),
            }
        }
        Err(unsettled) => Err(unsettled.into()),
    }
}

async fn find<S: scrip_http::Needs>(
    app: &App,
    caller: &Caller<S>,
    id: Id<HoldId>,
) -> Result<Receipt, ApiError> {
    let found = app.ledger.find(caller.account, id.found()?.into()).await?;
    found.filter(Receipt::is_hold).ok_or(HoldId::NOT_FOUND)
}

impl NewHold {
    /// The credits to hold, and the details of the transaction without the caller's.
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
                let (category, purpose) = (prices.category(&operation), Some(operation.clone()));
                let request = domain::Consume::priced(operation, price, quantity, self.service)?;
                let details = Details {
                    quantity: Some(quantity),
                    price_version: Some(price.version),
                    category,
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
                "is only allowed with `operation`; `amount` is the number of credits",
            )),
            (Some(_), Some(_)) => Err(ApiError::field("amount", "send either amount or operation")),
            (None, None) => Err(ApiError::field("operation", "is required unless `amount` is sent")),
        }
    }
}
