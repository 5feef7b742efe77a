//! Terms of an organisation: post-paid credits, freeze and unfreeze.

use std::error::Error;
use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    Account, AccountId, Allowed, Attempt, Credits, Details, Fingerprint, Mode, OrgId, Posting, Reference,
    set_frozen, set_limit,
};
use scrip_http::{
    ApiError, App, Id, LastKnownOperator, Once, Operator, OperatorCall, PathId, PostPaidView, ReasonRequest,
    Reply, duty,
};
use scrip_payments::RechargeRequest;
use serde::{Deserialize, Serialize};
use store::{Claim, Unsettled, system_key};
use utoipa::ToSchema;

/// A post-paid limit to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLimit {
    /// The most outstanding credits, up to 10^12; 0 switches post-paid off.
    #[schema(value_type = u64, minimum = 0, maximum = 1_000_000_000_000_u64)]
    limit: Allowed,
    /// The ledger: live (default) or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
}

/// The present terms of an organisation.
#[derive(Serialize, ToSchema)]
#[schema(as = Terms)]
#[serde(rename_all = "camelCase")]
struct TermsView {
    organisation_id: String,
    frozen: bool,
    /// Null if the account's record cannot be read.
    post_paid: Option<PostPaidView>,
}

/// Lets an organisation spend credits before it buys them, up to a limit. The next purchase, or an operator's adjustment
/// with the source postPaid, settles outstanding credits first.
#[utoipa::path(
    put,
    path = "/admin/v1/organisations/{id}/post-paid",
    tag = "operator",
    params(("id" = String, Path, description = "org_…")),
    request_body = NewLimit,
    responses(
        (status = 200, body = TermsView),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "OPERATION_IN_PROGRESS, with Retry-After"),
    ),
)]
pub(super) async fn set_post_paid(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Money>,
    Path(org): Path<Id<OrgId>>,
    Once { body: NewLimit { limit, mode }, .. }: Once<NewLimit>,
) -> Result<Reply, ApiError> {
    let limit = Credits::from(limit);
    let id = AccountId { org: org.found()?, mode: mode.unwrap_or(Mode::Live) };
    let is_so = |account: &Account| account.post_paid.limit == limit;
    let account = change(
        &app,
        id,
        Author { operator: &operator, reason: None, step: "limit" },
        is_so,
        |account, attempt| set_limit(account, limit, attempt),
    );
    Reply::ok(&TermsView::of(&account.await?))
}

/// Freezes an organisation: debits, purchases and auto-recharge are refused, for live and test keys. The credits stay.
/// This is possible also while the settings cannot be read.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/freeze",
    tag = "operator",
    params(("id" = String, Path, description = "org_…")),
    request_body = ReasonRequest,
    responses((status = 200, body = TermsView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn freeze(
    State(app): State<Arc<App>>,
    LastKnownOperator(operator): LastKnownOperator<duty::Customers>,
    Path(org): Path<Id<OrgId>>,
    Once { body: why, .. }: Once<ReasonRequest>,
) -> Result<Reply, ApiError> {
    set(&app, &operator, org.found()?, Freeze { frozen: true, reason: &why.reason, step: "freeze" }).await
}

/// Unfreezes an organisation. One that is closed has to be reopened first.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/unfreeze",
    tag = "operator",
    params(("id" = String, Path, description = "org_…")),
    request_body = ReasonRequest,
    responses(
        (status = 200, body = TermsView),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the organisation is closed; reopen it first"),
    ),
)]
pub(super) async fn unfreeze(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Customers>,
    Path(org): Path<Id<OrgId>>,
    Once { body: why, .. }: Once<ReasonRequest>,
) -> Result<Reply, ApiError> {
    let org = org.found()?;
    if is_closed(&app, org).await? {
        return Err(CLOSED);
    }
    let answer =
        set(&app, &operator, org, Freeze { frozen: false, reason: &why.reason, step: "unfreeze" }).await?;
    if is_closed(&app, org).await? {
        // It was closed meanwhile.
        set(&app, &operator, org, Freeze { frozen: true, reason: &why.reason, step: "closed" }).await?;
        return Err(CLOSED);
    }
    Ok(answer)
}

const CLOSED: ApiError = ApiError::Conflict(
    "the organisation is closed; reopen it first with POST /admin/v1/organisations/{id}/reopen",
);

async fn is_closed(app: &App, org: OrgId) -> Result<bool, ApiError> {
    let known = app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    Ok(known.closed_at.is_some())
}

/// Whether an organisation is frozen from now on, and why.
#[derive(Clone, Copy)]
pub(super) struct Freeze<'a> {
    pub(super) frozen: bool,
    pub(super) reason: &'a Reference,
    /// What the request does with it. One request may freeze and unfreeze, each once.
    pub(super) step: &'a str,
}

async fn set(app: &App, operator: &OperatorCall, org: OrgId, freeze: Freeze<'_>) -> Result<Reply, ApiError> {
    let frozen = freeze.frozen;
    let account = set_frozen_both(app, operator, org, freeze).await?;
    Reply::ok(&TermsView {
        organisation_id: org.to_string(),
        frozen,
        post_paid: account.map(|account| account.post_paid.into()),
    })
}

/// Freezes or unfreezes both ledgers of an organisation. Returns the live account, unless it cannot be read.
pub(super) async fn set_frozen_both(
    app: &App,
    operator: &OperatorCall,
    org: OrgId,
    freeze: Freeze<'_>,
) -> Result<Option<Account>, ApiError> {
    let Freeze { frozen, reason, step } = freeze;
    let change = |mode| {
        let is_so = move |account: &Account| account.frozen == frozen;
        change(
            app,
            AccountId { org, mode },
            Author { operator, reason: Some(reason), step },
            is_so,
            move |account, attempt| set_frozen(account, frozen, attempt),
        )
    };
    let set = async |mode| match change(mode).await {
        Err(error) if error.is_broken_account() => {
            let id = AccountId { org, mode };
            super::broken::set_frozen(app, operator, id, frozen, reason).await.map(|()| None)
        }
        changed => changed.map(Some),
    };
    set(Mode::Test).await?;
    let account = set(Mode::Live).await?;
    for mode in [Mode::Live, Mode::Test] {
        // The balance may have fallen below the recharge threshold meanwhile.
        if !frozen
            && let Err(error) =
                app.recharges.send(&RechargeRequest { account: AccountId { org, mode } }, 0).await
        {
            tracing::warn!(cause = &error as &dyn Error, "auto-recharge was not notified");
        }
    }
    Ok(account)
}

/// The operator who changes terms, the reason, and the step of the request.
pub(super) struct Author<'a> {
    pub(super) operator: &'a OperatorCall,
    pub(super) reason: Option<&'a Reference>,
    pub(super) step: &'a str,
}

/// Changes terms unless they are as wanted already, so that a retry changes nothing.
pub(super) async fn change(
    app: &App,
    id: AccountId,
    author: Author<'_>,
    is_so: impl Fn(&Account) -> bool + Send + Sync,
    decide: impl Fn(&Account, &Attempt) -> Posting + Send + Sync,
) -> Result<Account, ApiError> {
    let Author { operator, reason, step } = author;
    let account = app.ledger.account(id).await?.ok_or(Unsettled::NoAccount)?;
    if is_so(&account) {
        return Ok(account);
    }
    let details = Details {
        description: reason.cloned(),
        super_admin: Some(operator.key),
        request_id: Some(operator.call.id.to_string()),
        ..Details::default()
    };
    let name = format!("terms/{step}/{}", operator.call.id);
    let key = system_key(&name)?;
    let claim = Claim { key: &key, fingerprint: &Fingerprint(name), details: &details };
    let moment = app.ledger.moment_of(id, operator.call.moment).await?;
    app.ledger.settle(id, claim, moment, |account, attempt| Ok(decide(account, attempt))).await?;
    Ok(app.ledger.account(id).await?.ok_or(Unsettled::NoAccount)?)
}

impl TermsView {
    fn of(account: &Account) -> Self {
        Self {
            organisation_id: account.id.org.to_string(),
            frozen: account.frozen,
            post_paid: Some(account.post_paid.into()),
        }
    }
}
