//! The daily spending limit of an organisation.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{AccountId, Mode, Money, OrgId, SpendingLimit};
use scrip_http::{ApiError, App, Id, Once, Operator, PathId, Reply, duty};
use serde::{Deserialize, Serialize};
use store::{Moment, Organisation};
use utoipa::ToSchema;

/// A daily spending limit to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "perDay": { "amount": 2_000_000, "currency": "GBP" } }))]
pub(super) struct NewSpendingLimit {
    /// The most that all purchases of a day (UTC) may cost together: 1 to 99,999,999 minor units of the organisation's own
    /// currency.
    #[schema(value_type = scrip_http::MoneyView)]
    per_day: Money,
}

/// The daily spending limit, and what is spent of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SpendingTerms {
    organisation_id: String,
    /// The limit, for live and for test keys.
    per_day: scrip_http::MoneyView,
    /// The cost of today's purchases by live keys, in minor units.
    spent_today: u64,
}

/// Sets the most money that an organisation may spend on purchases a day, including auto-recharge. The default is 500,000
/// minor units of its currency (£5,000). A purchase beyond the limit is refused before anything is charged.
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
    operator: Operator<duty::Money>,
    Path(org): Path<Id<OrgId>>,
    Once { body: NewSpendingLimit { per_day: limit }, .. }: Once<NewSpendingLimit>,
) -> Result<Reply, ApiError> {
    let (org, moment) = (org.found()?, operator.call.moment);
    let known = app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    if limit.currency() != known.currency {
        let problem = format!("must be in {}, the currency of the organisation", known.currency.code());
        return Err(ApiError::field("perDay.currency", problem));
    }
    let organisation = app.settings.set_spending_limit(org, SpendingLimit::new(limit)).await?;
    let organisation = organisation.ok_or(OrgId::NOT_FOUND)?;
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
