//! `POST /api/v3/credits/consume`: take credits the moment a call is made.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::domain::{self, Details, Metadata, Quantity, Reference, Service};
use shared::edge::{ApiError, App, Balance, Caller, Intent, Reply, Transaction, may};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(consume))
}

/// What was done, and for whom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "operation": "verification.standard", "resourceId": "verif_xyz789" }))]
struct Consume {
    /// An operation of the price list.
    #[schema(value_type = String)]
    operation: Reference,
    /// How many times, 1 to 1,000,000; once when left out.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000)]
    quantity: Option<Quantity>,
    /// Your name for what was checked.
    #[schema(value_type = Option<String>, max_length = 255)]
    resource_id: Option<Reference>,
    /// Your name for the customer on whose behalf.
    #[schema(value_type = Option<String>, max_length = 255)]
    customer_id: Option<Reference>,
    /// Your name for the member of staff who did it.
    #[schema(value_type = Option<String>, max_length = 255)]
    member_id: Option<Reference>,
    /// The service that was used: lots set aside for it pay, and pay first.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    /// Your own key and value pairs.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    metadata: Option<Metadata>,
}

/// The transaction, and what is left.
#[derive(Serialize, ToSchema)]
struct Consumed {
    #[serde(flatten)]
    transaction: Transaction,
    balance: Balance,
}

/// Charges one operation: all of it or nothing, exactly once however often it is sent.
#[utoipa::path(
    post,
    path = "/api/v3/credits/consume",
    tag = "credits",
    params(("Idempotency-Key" = String, Header, description = "Your name for this request, 1 to 255 visible ASCII characters")),
    request_body = Consume,
    responses(
        (status = 201, body = Consumed),
        (status = 402, description = "INSUFFICIENT_CREDITS: `details` has `required` and `available`; nothing was charged"),
    ),
)]
async fn consume(
    State(app): State<Arc<App>>,
    caller: Caller<may::Consume>,
    intent: Intent<Consume>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let Consume { operation, quantity, resource_id, customer_id, member_id, service, metadata } = intent.body;
    let quantity = quantity.unwrap_or(Quantity::ONE);
    let (operation, price) =
        app.settings.catalogue(moment.wall).await?.prices.price(&operation, moment.now)?;
    let request = domain::Consume::priced(operation, price, quantity, service)?;
    let details = Details {
        quantity: Some(quantity),
        price_version: Some(price.version),
        resource_id,
        customer_id,
        member_id,
        service,
        metadata: metadata.unwrap_or_default(),
        key_id: Some(caller.key),
        request_id: Some(caller.call.id.to_string()),
        ..Details::default()
    };
    let claim = (&domain::ClaimKey::Caller(intent.key), &intent.fingerprint, &details);
    let settled = app
        .ledger
        .settle(caller.account, claim, moment, |account, head| domain::consume(account, &request, head))
        .await?;
    let consumed = Consumed { transaction: (&settled.receipt).into(), balance: (&settled.receipt).into() };
    Reply::created(&consumed, settled.replayed)
}
