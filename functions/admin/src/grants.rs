//! Grants: an operator gives credits to an organisation.

use std::error::Error;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Days, Utc};
use domain::{
    self, AccountId, Amount, ClaimKey, Details, Grant, GrantOrigin, Mode, OrgId, Receipt, Reference, Refusal,
    Service, Source,
};
use scrip_http::{
    ApiError, App, BalanceView, Id, IdempotencyHeader, Idempotent, Instant, Operator, Reply, TransactionView,
    duty,
};
use serde::{Deserialize, Serialize};
use store::{Claim, Job, Unsettled};
use utoipa::ToSchema;

/// Credits to give.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NewGrant {
    /// purchased, bonus, or subscription (extra credits for this month only).
    #[schema(value_type = String, example = "bonus")]
    source: GrantSource,
    /// Whole credits, 1 to 10^12.
    #[schema(value_type = u64, minimum = 1, maximum = 1_000_000_000_000_u64)]
    amount: Amount,
    /// Reserves the credits for debits of this service.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    /// When the credits expire.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Instant>,
    /// In place of `expiresAt`: the credits expire at the end (23:59:59 UTC) of the day this many days from now, 0 to 3,660.
    #[schema(value_type = Option<u32>, maximum = 3_660, example = 28)]
    expires_in_days: Option<u32>,
    /// A description.
    #[schema(value_type = Option<String>, max_length = 255)]
    description: Option<Reference>,
    /// The ledger: live (default) or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
}

/// The kinds of credits that an operator can give.
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

/// The transaction of the grant, its lot, and the balance after it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Granted {
    /// `credit_…`, or `sub_` and the month.
    credit_id: String,
    #[serde(flatten)]
    transaction: TransactionView,
    balance: BalanceView,
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
        IdempotencyHeader,
    ),
    request_body = NewGrant,
    responses((status = 201, body = Granted), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn grant(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Money>,
    Path(org): Path<Id<OrgId>>,
    intent: Idempotent<NewGrant>,
) -> Result<Reply, ApiError> {
    let NewGrant { source, amount, service, expires_at, expires_in_days, description, mode } = intent.body;
    let account = AccountId { org: org.found()?, mode: mode.unwrap_or(Mode::Live) };
    operator.call.is_about(account);
    let moment = app.ledger.moment_of(account, operator.call.moment).await?;
    let expires_at = match (expires_at, expires_in_days) {
        (Some(_), Some(_)) => {
            return Err(ApiError::field("expiresInDays", "send either expiresInDays or expiresAt"));
        }
        (end, None) => end.map(|Instant(end)| end),
        (None, Some(days)) => Some(end_of_day(moment.now, days)?),
    };
    let source = source.into();
    let request = Grant { source, amount, service, expires_at, origin: GrantOrigin::Operator };
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
        app.jobs().schedule_check(Job::Calendar(account), moment).await?;
    }
    let decide =
        |account: &domain::Account, attempt: &domain::Attempt| domain::grant(account, &request, attempt);
    let settled = app.ledger.settle(account, claim, moment, decide).await;
    if let Err(Unsettled::Refused(refusal)) = &settled
        && expires_in_days.is_some()
        && concerns_expiry(refusal)
    {
        return Err(ApiError::field("expiresInDays", refusal));
    }
    let settled = settled?;
    if expires_at.is_some()
        && let Err(unsettled) = app.jobs().run_account_job(account, moment).await
    {
        tracing::warn!(%account, cause = &unsettled as &dyn Error, "an expiry notice is left to the scheduled job");
    }
    Reply::created(&Granted::from(&settled.receipt), settled.replayed)
}

fn concerns_expiry(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::ExpiresInThePast | Refusal::PurchasedNeverExpire | Refusal::SubscriptionTerms)
}

/// The last second of the day `days` days after `now`, in UTC.
fn end_of_day(now: DateTime<Utc>, days: u32) -> Result<DateTime<Utc>, ApiError> {
    let problem = || ApiError::field("expiresInDays", format!("must be a whole number from 0 to {DAYS_MAX}"));
    let day = Some(days).filter(|days| *days <= DAYS_MAX);
    let day = day.and_then(|days| now.date_naive().checked_add_days(Days::new(days.into())));
    let end = day.and_then(|day| day.and_hms_opt(23, 59, 59));
    end.map(|end| end.and_utc()).ok_or_else(problem)
}

/// The longest `expiresInDays`: ten years.
const DAYS_MAX: u32 = 3_660;
