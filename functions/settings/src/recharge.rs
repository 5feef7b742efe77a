use scrip_payments::RechargeRequest;
use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use domain::{AccountId, Amount, Credits, Currency, Money, Recharge, RechargeChange, Reference, Service};
use scrip_http::{ApiError, App, Caller, IfMatch, Once, Params, Reply, may};
use serde::{Deserialize, Deserializer};
use store::{Errand, Fault, Moment};
use utoipa::ToSchema;

use super::progress::AutoRecharge;

/// How often one change may lose the race for the settings' row: each time, another change has landed.
const ATTEMPTS_MAX: u32 = 64;

/// Auto-recharge (seed). What is left out keeps its value, and so does null, except where a field says what null means.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "enabled": true, "threshold": 100, "amount": 500, "paymentMethod": "card_xyz123" }))]
pub(super) struct Change {
    enabled: Option<bool>,
    /// Trigger when a debit can spend fewer credits than this. One payment has to be able to bring them back: else the
    /// answer is a 400 that names the largest threshold that would do.
    #[schema(value_type = Option<u64>)]
    threshold: Option<Credits>,
    /// Whose debits `threshold` follows: those of this service, or, by null, those without a service.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    service: Option<Option<Service>>,
    /// Credits of a pack; one charge buys as many packs as bring the balance back to the threshold.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_u64)]
    amount: Option<Amount>,
    /// What pays, by the payment provider's name.
    #[schema(value_type = Option<String>)]
    payment_method: Option<Reference>,
    /// Credits a calendar month (UTC) at most; null for no limit.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    monthly_limit: Option<Option<Credits>>,
    /// What a calendar month (UTC) may cost at most, in the organisation's currency; null for the usual limit, 100,000
    /// minor units (GBP 1,000.00).
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<scrip_http::Money>)]
    monthly_spend_limit: Option<Option<Money>>,
    /// Up to how many credits of debt one charge may settle, 0 unless set. Where more is owed nothing is charged: a
    /// purchase would settle the debt before anything else.
    #[schema(value_type = Option<u64>)]
    debt_limit: Option<Credits>,
}

/// null is a value here: no limit, no service.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(input: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(input).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {}

/// How auto-recharge is set, and how far it is. The `ETag` names the settings: send it in `If-Match` to change just
/// what was read.
#[utoipa::path(
    get,
    path = "/api/v3/credits/auto-recharge",
    tag = "settings",
    responses((status = 200, body = AutoRecharge, headers(("ETag" = String, description = "The settings that were read")))),
)]
pub(super) async fn read_auto_recharge(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    let currency = app.till(caller.account.mode).billed_in(caller.account.org).await?;
    let recharge = app.ledger.recharge(caller.account).await?;
    reply(recharge.as_ref(), currency, caller.call.moment)
}

/// Sets auto-recharge. Switched on, or left on, it begins afresh: at once when the balance is below the
/// threshold, and after a dispute or a refund has paused it.
#[utoipa::path(
    put,
    path = "/api/v3/credits/auto-recharge",
    tag = "settings",
    params(("If-Match" = Option<String>, Header, description = "The ETag of the settings that were read: others are not changed")),
    request_body = Change,
    responses(
        (status = 200, body = AutoRecharge, headers(("ETag" = String, description = "The settings as they are now"))),
        (status = 412, description = "PRECONDITION_FAILED: the settings are others than those that If-Match names"),
    ),
)]
pub(super) async fn set_auto_recharge(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    seen: IfMatch,
    Once { body: change, .. }: Once<Change>,
) -> Result<Reply, ApiError> {
    let (account, moment) = (caller.account, caller.call.moment);
    let currency = app.till(account.mode).billed_in(account.org).await?;
    let change = change.checked(currency)?;
    // Where the queue takes nothing, the schedule looks.
    app.ledger.note(Errand::Recharge(account), moment.now).await?;
    let saved = save(&app, account, (&change, &seen, currency), moment).await?;
    if saved.as_ref().is_some_and(|saved| saved.enabled)
        && let Err(error) = app.recharges.send(&RechargeRequest { account }, 0).await
    {
        tracing::warn!(cause = &error as &dyn Error, "auto-recharge was not woken");
    }
    reply(saved.as_ref(), currency, moment)
}

fn reply(recharge: Option<&Recharge>, currency: Currency, moment: Moment) -> Result<Reply, ApiError> {
    Ok(Reply::ok(&AutoRecharge::of(recharge, currency, moment))?.tagged(edition(recharge)))
}

/// What a change is made of: 0 where nothing was ever set.
fn edition(recharge: Option<&Recharge>) -> u64 {
    recharge.map_or(0, |recharge| recharge.edition)
}

/// The settings with a change; none where there are none, and it sets nothing up.
async fn save(
    app: &App,
    account: AccountId,
    (change, seen, currency): (&RechargeChange, &IfMatch, Currency),
    moment: Moment,
) -> Result<Option<Recharge>, ApiError> {
    for _ in 0..ATTEMPTS_MAX {
        let known = app.ledger.recharge(account).await?;
        seen.check(edition(known.as_ref()))?;
        if known.is_none() && change.sets_nothing_up() {
            return Ok(None);
        }
        let changed = Recharge::changed(known.as_ref(), change, moment.now);
        let changed = changed.map_err(|bad| ApiError::field(bad.field(), bad))?;
        if changed.enabled {
            let checked = app.till(account.mode).can_satisfy(&changed, currency, moment).await?;
            checked.map_err(|bad| ApiError::field(bad.field(), bad))?;
        }
        if let Some(saved) = app.ledger.save_recharge(account, &changed).await? {
            return Ok(Some(saved));
        }
    }
    Err(Fault::Busy.into())
}

impl Change {
    fn checked(self, currency: Currency) -> Result<RechargeChange, ApiError> {
        if self.monthly_spend_limit.flatten().is_some_and(|limit| limit.currency() != currency) {
            let problem = format!("must be {}, the currency that you are billed in", currency.code());
            return Err(ApiError::field("monthlySpendLimit.currency", problem));
        }
        Ok(RechargeChange {
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
