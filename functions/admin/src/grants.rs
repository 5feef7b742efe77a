use std::error::Error;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Days, Utc};
use domain::{
    self, AccountId, Amount, ClaimKey, Details, Grant, Mode, Origin, Receipt, Reference, Refusal, Service,
    Source,
};
use scrip_http::{ApiError, App, Balance, Instant, Intent, Operator, Reply, Transaction};
use serde::{Deserialize, Serialize};
use store::{Claim, Errand, Unsettled};
use utoipa::ToSchema;

/// Credits to be given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NewGrant {
    /// purchased, bonus, or subscription (extra credits for this month alone).
    #[schema(value_type = String, example = "bonus")]
    source: GrantSource,
    /// Whole credits, 1 to 10^12.
    #[schema(value_type = u64, minimum = 1, maximum = 1_000_000_000_000_u64)]
    amount: Amount,
    /// Set aside for debits of this service.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    /// Not spendable from this instant on.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Instant>,
    /// In place of `expiresAt`: at the end (23:59:59 UTC) of the day that many days from now, 0 to 3,660.
    #[schema(value_type = Option<u32>, maximum = 3_660, example = 28)]
    expires_in_days: Option<u32>,
    /// In words.
    #[schema(value_type = Option<String>, max_length = 255)]
    description: Option<Reference>,
    /// Which ledger: live, when left out, or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
}

/// What kind of credits an operator can give.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum GrantSource {
    Subscription,
    Purchased,
    Bonus,
}

impl From<GrantSource> for Source {
    fn from(source: GrantSource) -> Self {
        match source {
            GrantSource::Subscription => Self::Subscription,
            GrantSource::Purchased => Self::Purchased,
            GrantSource::Bonus => Self::Bonus,
        }
    }
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
    let NewGrant { source, amount, service, expires_at, expires_in_days, description, mode } = intent.body;
    let account = AccountId { org: super::organisation(id)?, mode: mode.unwrap_or(Mode::Live) };
    let moment = app.ledger.moment_of(account, operator.call.moment).await?;
    let expires_at = match (expires_at, expires_in_days) {
        (Some(_), Some(_)) => return Err(ApiError::field("expiresInDays", "send it or expiresAt, not both")),
        (end, None) => end.map(|Instant(end)| end),
        (None, Some(days)) => Some(end_of_day(moment.now, days)?),
    };
    let source = source.into();
    let request = Grant { source, amount, service, expires_at, origin: Origin::Operator };
    let details = Details {
        service,
        expires_at,
        description,
        super_admin: Some(operator.key),
        request_id: Some(operator.call.id.to_string()),
        ..Details::default()
    };
    let claim =
        Claim { key: &ClaimKey::Operator(intent.key), fingerprint: &intent.fingerprint, details: &details };
    if expires_at.is_some() {
        app.calendar().expect(Errand::Calendar(account), moment).await?;
    }
    let decide = |account: &domain::Account, head: &domain::Head| domain::grant(account, &request, head);
    let settled = app.ledger.settle(account, claim, moment, decide).await;
    if let Err(Unsettled::Refused(refusal)) = &settled
        && expires_in_days.is_some()
        && is_about_the_end(refusal)
    {
        return Err(ApiError::field("expiresInDays", refusal));
    }
    let settled = settled?;
    if expires_at.is_some()
        && let Err(unsettled) = app.calendar().look_after(account, moment).await
    {
        tracing::warn!(%account, cause = &unsettled as &dyn Error, "a notice is left to the schedule");
    }
    Reply::created(&Granted::from(&settled.receipt), settled.replayed)
}

fn is_about_the_end(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::ExpiresInThePast | Refusal::PurchasedNeverExpire | Refusal::SubscriptionTerms)
}

/// The last second of the day that lies so many days after `now`, in UTC.
fn end_of_day(now: DateTime<Utc>, days: u32) -> Result<DateTime<Utc>, ApiError> {
    let problem = || ApiError::field("expiresInDays", format!("must be a whole number from 0 to {DAYS_MAX}"));
    let day = Some(days).filter(|days| *days <= DAYS_MAX);
    let day = day.and_then(|days| now.date_naive().checked_add_days(Days::new(days.into())));
    let end = day.and_then(|day| day.and_hms_opt(23, 59, 59));
    end.map(|end| end.and_utc()).ok_or_else(problem)
}

/// Ten years, for `expiresInDays`.
const DAYS_MAX: u32 = 3_660;
