use chrono::{DateTime, Utc};
use domain::{Credits, Currency, Pause, Period, Recharge, RechargeState, Service};
use scrip_http::{Money, instant};
use serde::Serialize;
use store::Moment;
use utoipa::ToSchema;

/// Auto-recharge as it is set, and how far it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AutoRecharge {
    enabled: bool,
    threshold: Option<u64>,
    /// Whose debits `threshold` follows; null for those without a service.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    amount: Option<u64>,
    payment_method: Option<String>,
    monthly_limit: Option<u64>,
    /// What a calendar month (UTC) may cost.
    monthly_spend_limit: Money,
    /// Up to how many credits of debt one charge may settle.
    debt_limit: u64,
    state: Progress,
}

/// How far auto-recharge is.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AutoRechargeState)]
struct Progress {
    /// off; ready: it waits for the balance to fall below the threshold; charging: a payment is under way;
    /// paused: it waits for `nextAttempt`, or, where that is null, for what `reason` says.
    status: &'static str,
    /// Why it is paused, or has switched itself off: payment_failed, monthly_limit, monthly_spend_limit,
    /// daily_spend_limit (today's purchases cost all that the operator allows the organisation a day), payment_limit
    /// (one payment cannot bring the balance back), too_many_charges, not_on_sale, debt (more is owed than
    /// `debtLimit`), disputed and refunded (a payment is disputed, or was refunded; set it
    /// again to go on).
    reason: Option<&'static str>,
    /// Payments that failed one after the other; after the third it switches itself off.
    failures: u32,
    /// What the payment provider said of the last one.
    #[schema(value_type = Option<Object>)]
    failure: Option<domain::Decline>,
    /// When it goes on.
    #[serde(serialize_with = "maybe")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt: Option<DateTime<Utc>>,
    /// The purchase under way.
    transaction_id: Option<String>,
    /// Credits that it bought this month, with those under way.
    bought_this_month: u64,
    /// What they cost.
    spent_this_month: Money,
}

#[expect(clippy::ref_option, reason = "serde hands a reference")]
fn maybe<S: serde::Serializer>(at: &Option<DateTime<Utc>>, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_some(&at.as_ref().map(instant::text))
}

impl AutoRecharge {
    /// The settings as callers see them; as they are before anybody has set them, where there are none.
    pub(super) fn of(recharge: Option<&Recharge>, currency: Currency, moment: Moment) -> Self {
        let limit = recharge.map_or(Recharge::SPEND_LIMIT_USUAL, |recharge| recharge.spend_limit(currency));
        Self {
            enabled: recharge.is_some_and(|recharge| recharge.enabled),
            threshold: recharge.map(|recharge| recharge.threshold.get()),
            service: recharge.and_then(|recharge| recharge.service),
            amount: recharge.map(|recharge| recharge.amount.into()),
            payment_method: recharge.map(|recharge| recharge.payment_method.as_str().to_owned()),
            monthly_limit: recharge.and_then(|recharge| recharge.monthly_limit).map(Credits::get),
            monthly_spend_limit: Money { amount: limit, currency: currency.code() },
            debt_limit: recharge.map_or(0, |recharge| recharge.debt_limit.get()),
            state: Progress::of(recharge, currency, moment),
        }
    }
}

impl Progress {
    fn of(recharge: Option<&Recharge>, currency: Currency, moment: Moment) -> Self {
        let money = |amount| Money { amount, currency: currency.code() };
        let off = Self {
            status: "off",
            reason: None,
            failures: 0,
            failure: None,
            next_attempt: None,
            transaction_id: None,
            bought_this_month: 0,
            spent_this_month: money(0),
        };
        let Some(recharge) = recharge else { return off };
        let (bought, spent) = recharge.bought_in(Period::of(moment.now));
        let known = Self {
            failures: recharge.failures,
            failure: recharge.failure.clone(),
            bought_this_month: bought.get(),
            spent_this_month: money(spent),
            ..off
        };
        let paused = |why: Pause, next_attempt| Self {
            status: "paused",
            reason: Some(why.as_str()),
            next_attempt,
            ..known.clone()
        };
        match (&recharge.state, recharge.state.pause()) {
            (RechargeState::Charging { transaction, .. }, _) => {
                Self { status: "charging", transaction_id: Some(transaction.to_string()), ..known }
            }
            _ if !recharge.enabled => {
                let failed = recharge.failure.as_ref().map(|_| Pause::PaymentFailed.as_str());
                Self { reason: failed, ..known }
            }
            (_, pause) => match recharge.reversed().map(|why| (why, None)).or(pause) {
                Some((why, until)) => paused(why, until),
                None => Self { status: "ready", ..known },
            },
        }
    }
}
