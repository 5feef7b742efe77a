use scrip_payments::RechargeRequest;
use std::error::Error;
use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    Account, AccountId, Allowed, Credits, Details, Fingerprint, Head, Mode, OrgId, Posting, Reference,
    set_frozen, set_limit,
};
use scrip_http::{ApiError, App, Once, Operator, PostPaid, Reply};
use serde::{Deserialize, Serialize};
use store::{Claim, Unsettled, system_key};
use utoipa::ToSchema;

/// How much an organisation may spend on account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLimit {
    /// Credits that may be outstanding, up to 10^12; 0 switches it off.
    #[schema(value_type = u64, minimum = 0, maximum = 1_000_000_000_000_u64)]
    limit: Allowed,
    /// Which ledger: live, when left out, or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
}

/// Why an organisation is stopped, or goes on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// Stands in the record beside who.
    #[schema(value_type = String, max_length = 255)]
    reason: Reference,
}

/// The terms of an organisation as they are now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Terms {
    organisation_id: String,
    frozen: bool,
    /// Null where the account's record cannot be read.
    post_paid: Option<PostPaid>,
}

/// Lets an organisation spend credits before it buys them, up to a limit. What is outstanding is settled
/// first by the next purchase, or by an operator's adjustment of source postPaid.
#[utoipa::path(
    put,
    path = "/admin/v1/organisations/{id}/post-paid",
    tag = "operator",
    params(("id" = String, Path, description = "org_…")),
    request_body = NewLimit,
    responses(
        (status = 200, body = Terms),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "OPERATION_IN_PROGRESS, with Retry-After"),
    ),
)]
pub(super) async fn set_post_paid(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    Once { body: NewLimit { limit, mode }, .. }: Once<NewLimit>,
) -> Result<Reply, ApiError> {
    let limit = Credits::from(limit);
    let id = AccountId { org: super::organisation(id)?, mode: mode.unwrap_or(Mode::Live) };
    let is_so = |account: &Account| account.post_paid.limit == limit;
    let account = change(&app, id, (&operator, None), is_so, |account, head| set_limit(account, limit, head));
    Reply::ok(&Terms::of(&account.await?))
}

/// Stops an organisation: nothing is spent and nothing bought, with live and with test keys, and
/// auto-recharge rests. What it has stays.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/freeze",
    tag = "operator",
    params(("id" = String, Path, description = "org_…")),
    request_body = Why,
    responses((status = 200, body = Terms), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn freeze(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    Once { body: why, .. }: Once<Why>,
) -> Result<Reply, ApiError> {
    set(&app, &operator, super::organisation(id)?, (true, why)).await
}

/// Has a stopped organisation go on.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/unfreeze",
    tag = "operator",
    params(("id" = String, Path, description = "org_…")),
    request_body = Why,
    responses((status = 200, body = Terms), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn unfreeze(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    Once { body: why, .. }: Once<Why>,
) -> Result<Reply, ApiError> {
    set(&app, &operator, super::organisation(id)?, (false, why)).await
}

async fn set(
    app: &App,
    operator: &Operator,
    org: OrgId,
    (frozen, why): (bool, Why),
) -> Result<Reply, ApiError> {
    let change = |mode| {
        let is_so = move |account: &Account| account.frozen == frozen;
        change(app, AccountId { org, mode }, (operator, Some(&why.reason)), is_so, move |account, head| {
            set_frozen(account, frozen, head)
        })
    };
    let set = async |mode| match change(mode).await {
        // The freeze of an account that cannot be read is a raw update of its item.
        Err(error) if error.is_broken_account() => {
            let id = AccountId { org, mode };
            super::broken::set_frozen(app, operator, id, (frozen, &why.reason)).await.map(|()| None)
        }
        changed => changed.map(Some),
    };
    set(Mode::Test).await?;
    let account = set(Mode::Live).await?;
    for mode in [Mode::Live, Mode::Test] {
        // What was crossed meanwhile is looked at again.
        if !frozen
            && let Err(error) =
                app.recharges.send(&RechargeRequest { account: AccountId { org, mode } }, 0).await
        {
            tracing::warn!(cause = &error as &dyn Error, "auto-recharge was not woken");
        }
    }
    Reply::ok(&Terms {
        organisation_id: org.to_string(),
        frozen,
        post_paid: account.map(|account| account.post_paid.into()),
    })
}

/// Changes terms unless they are so already: sent again, it changes nothing.
pub(super) async fn change(
    app: &App,
    id: AccountId,
    (operator, reason): (&Operator, Option<&Reference>),
    is_so: impl Fn(&Account) -> bool + Send + Sync,
    decide: impl Fn(&Account, &Head) -> Posting + Send + Sync,
) -> Result<Account, ApiError> {
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
    let name = format!("terms/{}", operator.call.id);
    let key = system_key(&name)?;
    let claim = Claim { key: &key, fingerprint: &Fingerprint(name), details: &details };
    let moment = app.ledger.moment_of(id, operator.call.moment).await?;
    app.ledger.settle(id, claim, moment, |account, head| Ok(decide(account, head))).await?;
    Ok(app.ledger.account(id).await?.ok_or(Unsettled::NoAccount)?)
}

impl Terms {
    fn of(account: &Account) -> Self {
        Self {
            organisation_id: account.id.org.to_string(),
            frozen: account.frozen,
            post_paid: Some(account.post_paid.into()),
        }
    }
}
