//! Creates and changes organisations.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    Account, AccountId, Allowance, Allowed, ClaimKey, Currency, Denial, Duty, Metadata, Mode, OrgId, PlanId,
    Reference, Refusal,
};
use scrip_http::{
    ApiError, App, Id, IdempotencyHeader, Idempotent, Once, Operator, OrganisationView, PathId,
    RateLimitField, RateLimitView, Reply, duty,
};
use serde::Deserialize;
use store::{ClaimsOf, Organisation, OrganisationChange};
use utoipa::ToSchema;

/// An organisation to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NewOrganisation {
    /// The organisation's name.
    #[schema(value_type = String, max_length = 255)]
    name: Reference,
    /// Your own id of the organisation, of visible ASCII characters, by which you find it and act for it; it cannot be
    /// changed. No two organisations have the same.
    #[schema(value_type = Option<String>, max_length = 255)]
    external_id: Option<Reference>,
    /// Your own key and value pairs.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    metadata: Option<Metadata>,
    /// A plan of the catalogue; `free` if left out. Keys work on plans with API access: `professional` and
    /// `enterprise` have it, `free` and `basic` do not.
    plan: Option<String>,
    /// A negotiated monthly allowance in place of the plan's. It may be 0.
    #[schema(value_type = Option<u64>, minimum = 0)]
    allowance: Option<Allowed>,
    /// ISO 4217 code of the billing currency; GBP if left out.
    #[schema(value_type = Option<String>, example = "GBP")]
    currency: Option<Currency>,
    /// Whether its own keys may choose a more expensive plan; false if left out.
    #[serde(default)]
    self_service_plans: bool,
}

/// A change of an organisation. Fields that are left out keep their values.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "selfServicePlans": true }))]
pub(super) struct OrganisationChanges {
    /// The organisation's name.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Reference>,
    /// Your own key and value pairs, in place of the present ones.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    metadata: Option<Metadata>,
    /// How many requests all its keys together may make, `{requests, perSeconds}`; `none` removes the limit.
    #[schema(value_type = Option<RateLimitView>)]
    rate_limit: Option<RateLimitField>,
    /// Whether its own keys may choose a more expensive plan. They may always choose a cheaper one.
    self_service_plans: Option<bool>,
}

/// Creates an organisation with two ledgers, live and test, and this month's allowance in both. A plan with a fee, an
/// `allowance` and `selfServicePlans` need the role `money` or `owner`.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations",
    tag = "operator",
    params(IdempotencyHeader),
    request_body = NewOrganisation,
    responses(
        (status = 201, body = OrganisationView),
        (status = 409, description = "CONFLICT: another organisation has this externalId"),
    ),
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Customers>,
    intent: Idempotent<NewOrganisation>,
) -> Result<Reply, ApiError> {
    let moment = operator.call.moment;
    let wanted = intent.body;
    if wanted.external_id.as_ref().is_some_and(|id| !is_sendable(id.as_str())) {
        return Err(ApiError::field(
            "externalId",
            "must be visible ASCII characters, because it is sent in a header",
        ));
    }
    let plan = PlanId(wanted.plan.unwrap_or_else(|| "free".to_owned()));
    let catalogue = app.settings.current_catalogue(moment.wall).await?;
    let known = catalogue.plan(&plan, moment.now).ok_or(Refusal::UnknownPlan(plan))?;
    let gives_credits = wanted.allowance.is_some() || wanted.self_service_plans || known.fee.amount() > 0;
    if gives_credits && !operator.role.may(Duty::Money) {
        return Err(Denial::Role(operator.role, Duty::Money).into());
    }
    let allowance = match wanted.allowance {
        Some(credits) => Allowance::Monthly(credits.into()),
        None => known.allowance,
    };
    let key = ClaimKey::Operator(intent.key);
    let made = app.ledger.claim_once(ClaimsOf::Operators, &key, &intent.fingerprint, moment).await?;
    // Everything below derives from the claim, so a retry creates the same organisation.
    let organisation = Organisation {
        external_id: wanted.external_id,
        metadata: wanted.metadata.unwrap_or_default(),
        currency: wanted.currency.unwrap_or(Currency::GBP),
        self_service_plans: wanted.self_service_plans,
        ..Organisation::new(
            OrgId::from(made.id),
            wanted.name.as_str(),
            known.plan.clone(),
            allowance,
            made.at,
        )
    };
    operator.call.opens(organisation.org);
    open(&app, &organisation, moment).await?;
    Reply::created(&OrganisationView::from(organisation), made.replayed)
}

/// Changes the settings that an operator has made for an organisation. `selfServicePlans` needs the role `money` or `owner`.
#[utoipa::path(
    patch,
    path = "/admin/v1/organisations/{id}",
    tag = "operator",
    params(("id" = String, Path, description = "org_…")),
    request_body = OrganisationChanges,
    responses((status = 200, body = OrganisationView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn change_organisation(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Customers>,
    Path(org): Path<Id<OrgId>>,
    Once { body, .. }: Once<OrganisationChanges>,
) -> Result<Reply, ApiError> {
    let OrganisationChanges { name, metadata, self_service_plans, rate_limit } = body;
    let rate_limit = rate_limit.map(|RateLimitField(limit)| limit);
    if self_service_plans.is_some() && !operator.role.may(Duty::Money) {
        return Err(Denial::Role(operator.role, Duty::Money).into());
    }
    let org = org.found()?;
    let known = app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    operator.call.was(&OrganisationView::from(known))?;
    let change = OrganisationChange { name, metadata, self_service_plans, rate_limit };
    let changed = app.settings.change_organisation(org, &change).await?;
    Reply::ok(&OrganisationView::from(changed.ok_or(OrgId::NOT_FOUND)?))
}

/// Whether an external id reaches us unchanged in the header Scrip-Organisation.
fn is_sendable(id: &str) -> bool {
    id.trim() == id && id.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

async fn open(app: &App, organisation: &Organisation, moment: store::Moment) -> Result<(), ApiError> {
    if app.settings.add_organisation(organisation).await?.is_some() {
        return Err(ApiError::Conflict(
            "another organisation has this externalId; list it with `?externalId=`, or send another one under a new Idempotency-Key",
        ));
    }
    for mode in [Mode::Live, Mode::Test] {
        let id = AccountId { org: organisation.org, mode };
        let Organisation { plan, allowance, created_at, .. } = organisation;
        app.ledger.open(&Account::open(id, plan.clone(), *allowance, *created_at)).await?;
        app.ledger.catch_up(id, moment).await?;
    }
    Ok(())
}
