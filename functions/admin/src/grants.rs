use std::sync::Arc;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use shared::domain::{
    self, AccountId, Amount, ClaimKey, Details, Grant, Mode, Origin, Receipt, Reference, Service, Source,
};
use shared::edge::{ApiError, App, Balance, Instant, Intent, Operator, Reply, Transaction};
use utoipa::ToSchema;

/// Credits to be given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NewGrant {
    /// purchased, bonus, or subscription (extra credits for this month alone).
    #[schema(value_type = String, example = "bonus")]
    source: Source,
    /// Whole credits, 1 to 10^12.
    #[schema(value_type = u64, minimum = 1, maximum = 1_000_000_000_000_u64)]
    amount: Amount,
    /// Set aside for debits of this service.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    /// Not spendable from this instant on.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Instant>,
    /// In words.
    #[schema(value_type = Option<String>, max_length = 255)]
    description: Option<Reference>,
    /// Which ledger: live, when left out, or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
}

/// The grant as a transaction, the lot that it made or joined, and the balance after it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Granted {
    /// `credit_…`, or `sub_` and the month.
    credit_id: String,
    #[serde(flatten)]
    transaction: Transaction,
    balance: Balance,
}

impl From<&Receipt> for Granted {
    fn from(receipt: &Receipt) -> Self {
        let lots: Vec<_> = receipt.entry.moves.iter().map(|part| part.lot.to_string()).collect();
        Self { credit_id: lots.concat(), transaction: receipt.into(), balance: receipt.into() }
    }
}

/// Gives credits to an organisation.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/grants",
    tag = "operator",
    params(
        ("id" = String, Path, description = "org_…"),
        ("Idempotency-Key" = String, Header, description = "Your name for this request"),
    ),
    request_body = NewGrant,
    responses((status = 201, body = Granted), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn grant(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    intent: Intent<NewGrant>,
) -> Result<Reply, ApiError> {
    let moment = operator.call.moment;
    let NewGrant { source, amount, service, expires_at, description, mode } = intent.body;
    let account = AccountId { org: super::organisation(id)?, mode: mode.unwrap_or(Mode::Live) };
    let expires_at = expires_at.map(|Instant(end)| end);
    let request = Grant { source, amount, service, expires_at, origin: Origin::Operator };
    let details = Details {
        service,
        expires_at,
        description,
        super_admin: Some(operator.key),
        request_id: Some(operator.call.id.to_string()),
        ..Details::default()
    };
    let claim = (&ClaimKey::Operator(intent.key), &intent.fingerprint, &details);
    let settled = app
        .ledger
        .settle(account, claim, moment, |account, head| domain::grant(account, &request, head))
        .await?;
    Reply::created(&Granted::from(&settled.receipt), settled.replayed)
}
