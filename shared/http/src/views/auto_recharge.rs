//! Auto-recharge as callers see it.

use chrono::{DateTime, Utc};
use domain::{AutoRecharge, AutoRechargeState, Credits, Currency, PauseReason, Period, Service};
use serde::Serialize;
use store::Moment;
use utoipa::ToSchema;

use super::MoneyView;
use crate::timestamp;

/// The auto-recharge settings and their state.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AutoRecharge)]
#[serde(rename_all = "camelCase")]
pub struct AutoRechargeView {
    enabled: bool,
    threshold: Option<u64>,
    /// The service whose debits `threshold` is about; null for debits without a service.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    amount: Option<u64>,
    payment_method: Option<String>,
    monthly_limit: Option<u64>,
    /// The most money in a calendar month (UTC).
    monthly_spend_limit: MoneyView,
    /// The largest debt in credits that one payment may settle.
    debt_limit: u64,
    state: RechargeStateView,
}

/// The state of auto-recharge.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AutoRechargeState)]
#[serde(rename_all = "camelCase")]
struct RechargeStateView {
    /// off; ready: waiting for the balance to fall below the threshold; charging: a payment is in progress; paused:
    /// waiting until `nextAttempt`, or, if that is null, for what `reason` says.
    status: &'static str,
    /// Why it is paused or was disabled: payment_failed, monthly_limit, monthly_spend_limit, daily_spend_limit (the daily
    /// spending limit is reached), payment_limit (one payment cannot bring the balance back), too_many_charges,
    /// not_on_sale, debt (the debt is larger than `debtLimit`), disputed and refunded (a payment is disputed or was
    /// refunded; change the settings to resume).
    reason: Option<&'static str>,
    /// Consecutive failed payments. The third one disables auto-recharge.
    failures: u32,
    /// The payment provider's reason for the last failure.
    #[schema(value_type = Option<Object>)]
    failure: Option<domain::Decline>,
    /// When the next attempt is due.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt: Option<DateTime<Utc>>,
    /// The purchase in progress.
    transaction_id: Option<String>,
    /// Credits bought this month, including the purchase in progress.
    bought_this_month: u64,
    /// The cost of these credits.
    spent_this_month: MoneyView,
}

impl AutoRechargeView {
    /// The view of the settings, or of the defaults if nothing was ever set.
    #[must_use]
    pub fn of(recharge: Option<&AutoRecharge>, currency: Currency, moment: Moment) -> Self {
        let limit =
            recharge.map_or(AutoRecharge::SPEND_LIMIT_USUAL, |recharge| recharge.spend_limit(currency));
        Self {
            enabled: recharge.is_some_and(|recharge| recharge.enabled),
            threshold: recharge.map(|recharge| recharge.threshold.get()),
            service: recharge.and_then(|recharge| recharge.service),
            amount: recharge.map(|recharge| recharge.amount.into()),
            payment_method: recharge.map(|recharge| recharge.payment_method.as_str().to_owned()),
            monthly_limit: recharge.and_then(|recharge| recharge.monthly_limit).map(Credits::get),
            monthly_spend_limit: MoneyView { amount: limit, currency: currency.code() },
            debt_limit: recharge.map_or(0, |recharge| recharge.debt_limit.get()),
            state: RechargeStateView::of(recharge, currency, moment),
        }
    }
}

impl RechargeStateView {
    fn of(recharge: Option<&AutoRecharge>, currency: Currency, moment: Moment) -> Self {
        let money = |amount| MoneyView { amount, currency: currency.code() };
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
        let paused = |why: PauseReason, next_attempt| Self {
            status: "paused",
            reason: Some(why.as_str()),
            next_attempt,
            ..known.clone()
        };
        match (&recharge.state, recharge.state.pause()) {
            (AutoRechargeState::Charging { transaction, .. }, _) => {
                Self { status: "charging", transaction_id: Some(transaction.to_string()), ..known }
            }
            _ if !recharge.enabled => {
                let failed = recharge.failure.as_ref().map(|_| PauseReason::PaymentFailed.as_str());
                Self { reason: failed, ..known }
            }
            (_, pause) => match recharge.reversed().map(|why| (why, None)).or(pause) {
                Some((why, until)) => paused(why, until),
                None => Self { status: "ready", ..known },
            },
        }
    }
}
