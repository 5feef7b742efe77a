use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{AccountId, Mode, Money, OrgId, SpendingLimit};
use scrip_http::{ApiError, App, Once, Operator, Reply};
use serde::{Deserialize, Serialize};
use store::{Moment, Organisation};
use utoipa::ToSchema;

/// How much money an organisation may spend a day.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "perDay": { "amount": 2_000_000, "currency": "GBP" } }))]
pub(super) struct NewSpendingLimit {
    /// What all purchases of a day (UTC) may cost together: 1 to 99,999,999 minor units of the organisation's
    /// own currency.
    #[schema(value_type = scrip_http::Money)]
    per_day: Money,
}

/// How much money an organisation may spend a day, and has spent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SpendingTerms {
    organisation_id: String,
    /// The limit, for live and for test keys alike.
    per_day: scrip_http::Money,
    /// What the purchases of today by live keys cost so far, in minor units.
    spent_today: u64,
}

/// Sets how much money an organisation may spend on purchases a day, by itself and by auto-recharge. Without a
/// limit of its own it may spend 500,000 minor units of its currency (£5,000). A purchase that does not fit is
/// refused before anything is charged.
#[utoipa::path(
    put,
    path = "/admin/v1/organisations/{id}/spending-limit",
    tag = "operator",
    params(("id" = String, Path, description = "org_…")),
    request_body = NewSpendingLimit,
    responses(
        (status = 200, body = SpendingTerms),
        (status = 400, description = "VALIDATION_ERROR: `perDay` is in another currency than the organisation's"),
        (status = 404, description = "NOT_FOUND"),
    ),
)]
pub(super) async fn set_spending_limit(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    Once { body: NewSpendingLimit { per_day: limit }, .. }: Once<NewSpendingLimit>,
) -> Result<Reply, ApiError> {
    let (org, moment) = (super::organisation(id)?, operator.call.moment);
    let known = app.settings.organisation(org).await?.ok_or(super::NO_ORGANISATION)?;
    if limit.currency() != known.currency {
        let problem = format!("must be in {}, the currency of the organisation", known.currency.code());
        return Err(ApiError::field("perDay.currency", problem));
    }
    let organisation = app.settings.set_spending_limit(org, SpendingLimit::new(limit)).await?;
    let organisation = organisation.ok_or(super::NO_ORGANISATION)?;
    Reply::ok(&spending(&app, org, &organisation, moment).await?)
}

async fn spending(
    app: &App,
    org: OrgId,
    organisation: &Organisation,
    moment: Moment,
) -> Result<SpendingTerms, ApiError> {
    let account = AccountId { org, mode: Mode::Live };
    Ok(SpendingTerms {
        organisation_id: org.to_string(),
        per_day: organisation.may_spend().per_day().into(),
        spent_today: app.ledger.spent(account, moment.now.date_naive()).await?,
    })
}
