use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::domain::{
    Account, AccountId, Allowance, Amount, ClaimKey, Credits, Currency, Mode, OrgId, PlanId, Reference,
    Refusal,
};
use shared::edge::{ApiError, App, Intent, Operator, Reply, instant};
use shared::store::{ClaimsOf, Organisation};
use utoipa::ToSchema;

/// Who is to have credits.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrganisation {
    /// Its name.
    #[schema(value_type = String, max_length = 255)]
    name: Reference,
    /// A plan of the catalogue; `free` when left out.
    plan: Option<String>,
    /// A negotiated monthly allowance in place of the plan's; may be 0.
    #[schema(value_type = Option<u64>, minimum = 0)]
    allowance: Option<Credits>,
    /// ISO 4217 code of the currency that it is billed in; GBP when left out.
    #[schema(value_type = Option<String>, example = "GBP")]
    currency: Option<Currency>,
}

/// An organisation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Opened {
    organisation_id: String,
    name: String,
    plan: String,
    /// Credits a month; null when there is no limit.
    allowance: Option<u64>,
    currency: &'static str,
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
}

/// Opens an organisation with its two ledgers, for live and for test keys, and this month's
/// allowance in both.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations",
    tag = "operator",
    params(("Idempotency-Key" = String, Header, description = "Your name for this request")),
    request_body = NewOrganisation,
    responses((status = 201, body = Opened)),
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    operator: Operator,
    intent: Intent<NewOrganisation>,
) -> Result<Reply, ApiError> {
    let moment = operator.call.moment;
    let wanted = intent.body;
    let plan = PlanId(wanted.plan.unwrap_or_else(|| "free".to_owned()));
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let known = catalogue.plan(&plan, moment.now).ok_or(Refusal::UnknownPlan(plan))?;
    let allowance = match wanted.allowance {
        Some(credits) => Allowance::Monthly(super::at_most(credits, Amount::MAX, "allowance")?),
        None => known.allowance,
    };
    let key = ClaimKey::Operator(intent.key);
    let made = app.ledger.claim_once(ClaimsOf::Operators, &key, &intent.fingerprint, moment).await?;
    // Everything from here on is made from the claim, so a repeated request makes it again, the same.
    let organisation = Organisation {
        org: OrgId::from(made.id),
        name: wanted.name.as_str().to_owned(),
        plan: known.plan.clone(),
        allowance,
        customer: None,
        spending_limit: None,
        currency: wanted.currency.unwrap_or(Currency::GBP),
        created_at: made.at,
    };
    open(&app, &organisation, moment).await?;
    let opened = Opened {
        organisation_id: organisation.org.to_string(),
        name: organisation.name,
        plan: organisation.plan.0,
        allowance: match allowance {
            Allowance::Monthly(credits) => Some(credits.get()),
            Allowance::Unlimited => None,
        },
        currency: organisation.currency.code(),
        created_at: made.at,
    };
    Reply::created(&opened, made.replayed)
}

async fn open(app: &App, organisation: &Organisation, moment: shared::store::Moment) -> Result<(), ApiError> {
    app.settings.add_organisation(organisation).await?;
    for mode in [Mode::Live, Mode::Test] {
        let id = AccountId { org: organisation.org, mode };
        let Organisation { plan, allowance, created_at, .. } = organisation;
        app.ledger.open(&Account::open(id, plan.clone(), *allowance, *created_at)).await?;
        app.ledger.catch_up(id, moment).await?;
    }
    Ok(())
}
