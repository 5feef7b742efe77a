use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use shared::domain::{
    AccountId, Amount, BadRecharge, Credits, Pause, Period, Recharge, RechargeChange, RechargeState,
    Reference,
};
use shared::edge::{ApiError, App, Caller, Once, Params, Reply, instant, may};
use shared::store::{Errand, Fault, Moment};
use utoipa::ToSchema;

/// How often one change may lose the race for the settings' row.
const ATTEMPTS_MAX: u32 = 8;

/// Auto-recharge (seed). What is left out keeps its value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "enabled": true, "threshold": 100, "amount": 500, "paymentMethod": "card_xyz123" }))]
pub(super) struct Change {
    enabled: Option<bool>,
    /// Trigger when available credits fall below this.
    #[schema(value_type = Option<u64>)]
    threshold: Option<Credits>,
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
}

/// null is a value here: no limit.
fn given<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Option<Credits>>, D::Error> {
    Option::deserialize(input).map(Some)
}

/// Auto-recharge as it is set, and how far it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AutoRecharge {
    enabled: bool,
    threshold: Option<u64>,
    amount: Option<u64>,
    payment_method: Option<String>,
    monthly_limit: Option<u64>,
    state: Progress,
}

/// How far auto-recharge is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AutoRechargeState)]
struct Progress {
    /// off; ready: it waits for the balance to fall below the threshold; charging: a payment is under way;
    /// paused: it waits for `nextAttempt`.
    status: &'static str,
    /// Why it is paused, or has switched itself off: payment_failed, monthly_limit, too_many_charges.
    reason: Option<&'static str>,
    /// Payments that failed one after the other; after the third it switches itself off.
    failures: u32,
    /// What the payment provider said of the last one.
    #[schema(value_type = Option<Object>)]
    failure: Option<shared::domain::Decline>,
    /// When it goes on.
    #[serde(serialize_with = "maybe")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt: Option<DateTime<Utc>>,
    /// The purchase under way.
    transaction_id: Option<String>,
    /// Credits that it bought this month, with those under way.
    bought_this_month: u64,
}

#[expect(clippy::ref_option, reason = "serde hands a reference")]
fn maybe<S: serde::Serializer>(at: &Option<DateTime<Utc>>, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_some(&at.as_ref().map(instant::text))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {}

/// How auto-recharge is set, and how far it is.
#[utoipa::path(
    get,
    path = "/api/v3/credits/auto-recharge",
    tag = "settings",
    responses((status = 200, body = AutoRecharge)),
)]
pub(super) async fn read_auto_recharge(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    let recharge = app.ledger.recharge(caller.account).await?;
    Reply::ok(&AutoRecharge::of(recharge.as_ref(), caller.call.moment))
}

/// Sets auto-recharge. Switched on, or left on, it begins afresh: at once when the balance is below the
/// threshold.
#[utoipa::path(
    put,
    path = "/api/v3/credits/auto-recharge",
    tag = "settings",
    request_body = Change,
    responses((status = 200, body = AutoRecharge)),
)]
pub(super) async fn set_auto_recharge(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Once { body: change, .. }: Once<Change>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let change = RechargeChange {
        enabled: change.enabled,
        threshold: change.threshold,
        amount: change.amount,
        payment_method: change.payment_method,
        monthly_limit: change.monthly_limit,
    };
    // Where the queue takes nothing, the schedule looks.
    app.ledger.note(Errand::Recharge(caller.account), moment.now).await?;
    let saved = save(&app, caller.account, &change, moment).await?;
    if saved.enabled
        && let Err(asleep) = app.wakes.wake(caller.account).await
    {
        tracing::warn!(cause = &asleep as &dyn Error, "auto-recharge was not woken");
    }
    Reply::ok(&AutoRecharge::of(Some(&saved), moment))
}

async fn save(
    app: &App,
    account: AccountId,
    change: &RechargeChange,
    moment: Moment,
) -> Result<Recharge, ApiError> {
    for _ in 0..ATTEMPTS_MAX {
        let known = app.ledger.recharge(account).await?;
        let changed = Recharge::changed(known.as_ref(), change, moment.now).map_err(|bad| match bad {
            BadRecharge::Missing(field) => ApiError::field(field, bad),
            BadRecharge::LimitBelowAmount => ApiError::field("monthlyLimit", bad),
        })?;
        if let Some(saved) = app.ledger.save_recharge(account, &changed).await? {
            return Ok(saved);
        }
    }
    Err(Fault::Busy.into())
}

impl AutoRecharge {
    fn of(recharge: Option<&Recharge>, moment: Moment) -> Self {
        Self {
            enabled: recharge.is_some_and(|recharge| recharge.enabled),
            threshold: recharge.map(|recharge| recharge.threshold.get()),
            amount: recharge.map(|recharge| recharge.amount.into()),
            payment_method: recharge.map(|recharge| recharge.payment_method.as_str().to_owned()),
            monthly_limit: recharge.and_then(|recharge| recharge.monthly_limit).map(Credits::get),
            state: Progress::of(recharge, moment),
        }
    }
}

impl Progress {
    fn of(recharge: Option<&Recharge>, moment: Moment) -> Self {
        let off = Self {
            status: "off",
            reason: None,
            failures: 0,
            failure: None,
            next_attempt: None,
            transaction_id: None,
            bought_this_month: 0,
        };
        let Some(recharge) = recharge else { return off };
        let month = Period::of(moment.now);
        let known = Self {
            failures: recharge.failures,
            failure: recharge.failure.clone(),
            bought_this_month: if recharge.month == month { recharge.bought.get() } else { 0 },
            ..off
        };
        match &recharge.state {
            RechargeState::Charging { transaction, .. } => {
                Self { status: "charging", transaction_id: Some(transaction.to_string()), ..known }
            }
            RechargeState::Ready | RechargeState::Paused { .. } if !recharge.enabled => {
                Self { reason: recharge.failure.as_ref().map(|_| "payment_failed"), ..known }
            }
            RechargeState::Ready => Self { status: "ready", ..known },
            RechargeState::Paused { why, until } => {
                let reason = match why {
                    Pause::PaymentFailed => "payment_failed",
                    Pause::MonthlyLimit => "monthly_limit",
                    Pause::TooManyCharges => "too_many_charges",
                };
                Self { status: "paused", reason: Some(reason), next_attempt: Some(*until), ..known }
            }
        }
    }
}
