//! Auto-recharge settings.

use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use domain::{
    AccountId, Amount, AutoRecharge, AutoRechargeUpdate, Credits, Currency, Money, Reference, Service,
};
use scrip_http::{ApiError, App, AutoRechargeView, Caller, IfMatch, Once, Reply, may};
use scrip_payments::RechargeRequest;
use serde::{Deserialize, Deserializer};
use store::{Fault, Job, Moment};
use utoipa::ToSchema;

/// The most attempts of one change. Each failed attempt means that another change was written meanwhile.
const ATTEMPTS_MAX: u32 = 64;

/// A change of auto-recharge (seed). Fields that are left out or null keep their values, unless a field gives null a
/// meaning.
#[derive(Deserialize, ToSchema)]
#[schema(as = Change)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "enabled": true, "threshold": 100, "amount": 500, "paymentMethod": "card_xyz123" }))]
pub(super) struct AutoRechargeChange {
    enabled: Option<bool>,
    /// Recharge when a debit can spend fewer credits than this. One payment must be able to bring the balance back to it;
    /// otherwise the answer is 400 and names the largest possible threshold.
    #[schema(value_type = Option<u64>)]
    threshold: Option<Credits>,
    /// The service whose debits `threshold` is about; null for debits without a service.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    service: Option<Option<Service>>,
    /// The credits of a pack. One payment buys as many packs as bring the balance back to the threshold.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_u64)]
    amount: Option<Amount>,
    /// The payment provider's name for the payment method.
    #[schema(value_type = Option<String>)]
    payment_method: Option<Reference>,
    /// The most credits in a calendar month (UTC); null for no limit.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    monthly_limit: Option<Option<Credits>>,
    /// The most money in a calendar month (UTC), in the organisation's currency; null for the default, 100,000 minor units
    /// (GBP 1,000.00).
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<scrip_http::MoneyView>)]
    monthly_spend_limit: Option<Option<Money>>,
    /// The largest debt in credits that one payment may settle; 0 by default. With a larger debt nothing is charged,
    /// because a purchase settles debt first.
    #[schema(value_type = Option<u64>)]
    debt_limit: Option<Credits>,
}

/// Reads a field in which null is a value: no limit, no service.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(input: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(input).map(Some)
}

/// Returns the auto-recharge settings and their state. The `ETag` identifies this version of the settings: send it in
/// `If-Match`, and the update succeeds only if they have not changed since.
#[utoipa::path(
    get,
    path = "/api/v3/credits/auto-recharge",
    tag = "settings",
    responses((status = 200, body = AutoRechargeView, headers(("ETag" = String, description = "The version of the settings")))),
)]
pub(super) async fn read_auto_recharge(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
) -> Result<Reply, ApiError> {
    let currency = app.checkout(caller.account.mode).currency(caller.account.org, caller.call.moment).await?;
    let recharge = app.ledger.recharge(caller.account).await?;
    reply(recharge.as_ref(), currency, caller.call.moment)
}

/// Changes auto-recharge. If it is enabled afterwards, it starts again: it charges at once if the balance is below the
/// threshold, and resumes after a pause for a dispute or a refund.
#[utoipa::path(
    put,
    path = "/api/v3/credits/auto-recharge",
    tag = "settings",
    params(("If-Match" = Option<String>, Header, description = "The ETag of the version to change; another version is not changed")),
    request_body = AutoRechargeChange,
    responses(
        (status = 200, body = AutoRechargeView, headers(("ETag" = String, description = "The new version of the settings"))),
        (status = 412, description = "PRECONDITION_FAILED: the settings have another version than If-Match"),
    ),
)]
pub(super) async fn set_auto_recharge(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    if_match: IfMatch,
    Once { body: change, .. }: Once<AutoRechargeChange>,
) -> Result<Reply, ApiError> {
    let (account, moment) = (caller.account, caller.call.moment);
    let currency = app.checkout(account.mode).current_currency(account.org).await?;
    let change = change.checked(currency)?;
    // If the queue is unavailable, the scheduled job recharges.
    app.ledger.schedule(Job::Recharge(account), moment.now).await?;
    let saved =
        save(&app, account, AutoRechargePatch { change: &change, if_match: &if_match, currency }, moment)
            .await?;
    if saved.as_ref().is_some_and(|saved| saved.enabled)
        && let Err(error) = app.recharges.send(&RechargeRequest { account }, 0).await
    {
        tracing::warn!(cause = &error as &dyn Error, "auto-recharge was not notified");
    }
    reply(saved.as_ref(), currency, moment)
}

fn reply(recharge: Option<&AutoRecharge>, currency: Currency, moment: Moment) -> Result<Reply, ApiError> {
    Ok(Reply::ok(&AutoRechargeView::of(recharge, currency, moment))?.tagged(edition(recharge)))
}

/// The version of the settings: 0 if nothing was ever set.
fn edition(recharge: Option<&AutoRecharge>) -> u64 {
    recharge.map_or(0, |recharge| recharge.edition)
}

/// An update of the settings: the change, the version that it applies to, and the organisation's currency.
struct AutoRechargePatch<'a> {
    change: &'a AutoRechargeUpdate,
    if_match: &'a IfMatch,
    currency: Currency,
}

/// Saves a change and returns the settings; none if neither the account nor the change has any.
async fn save(
    app: &App,
    account: AccountId,
    update: AutoRechargePatch<'_>,
    moment: Moment,
) -> Result<Option<AutoRecharge>, ApiError> {
    let AutoRechargePatch { change, if_match, currency } = update;
    for _ in 0..ATTEMPTS_MAX {
        let known = app.ledger.recharge(account).await?;
        if_match.check(edition(known.as_ref()))?;
        if known.is_none() && change.sets_nothing_up() {
            return Ok(None);
        }
        let changed = AutoRecharge::changed(known.as_ref(), change, moment.now);
        let changed = changed.map_err(|bad| ApiError::field(bad.field(), bad))?;
        if changed.enabled {
            let bad = app.checkout(account.mode).unsatisfiable(&changed, currency, moment).await?;
            bad.map_or(Ok(()), |bad| Err(ApiError::field(bad.field(), bad)))?;
        }
        if let Some(saved) = app.ledger.save_recharge(account, &changed).await? {
            return Ok(Some(saved));
        }
    }
    Err(Fault::Busy.into())
}

impl AutoRechargeChange {
    fn checked(self, currency: Currency) -> Result<AutoRechargeUpdate, ApiError> {
        if self.monthly_spend_limit.flatten().is_some_and(|limit| limit.currency() != currency) {
            let problem = format!("must be {}, your billing currency", currency.code());
            return Err(ApiError::field("monthlySpendLimit.currency", problem));
        }
        Ok(AutoRechargeUpdate {
            enabled: self.enabled,
            threshold: self.threshold,
            service: self.service,
            amount: self.amount,
            payment_method: self.payment_method,
            monthly_limit: self.monthly_limit,
            monthly_spend_limit: self.monthly_spend_limit,
            debt_limit: self.debt_limit,
        })
    }
}
