//! The plan of an organisation, and its history.

use chrono::{DateTime, Utc};
use domain::{Account, Allowance, Plan};
use serde::Serialize;
use store::PlanSwitch;
use utoipa::ToSchema;

use super::MoneyView;
use crate::timestamp;

/// The terms of a plan for an organisation.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanTerms {
    /// The plan's name in requests.
    plan: String,
    /// The plan's display name.
    name: String,
    /// The price of a month; an amount of 0 is free.
    price: MoneyView,
    /// Credits a month: the plan's allowance, or a negotiated one. Null for an unlimited plan.
    allowance: Option<u64>,
    /// Whether the plan is unlimited: debits are never refused for insufficient credits.
    unlimited: bool,
    /// Whether API keys without the `dashboard` scope work.
    api_access: bool,
    /// The most users of the organisation; null for any number.
    max_users: Option<u32>,
    /// When the next month's allowance is granted.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    next_renewal: DateTime<Utc>,
}

/// The plan of an organisation.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Subscription)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "plan": "basic", "name": "Basic", "price": { "amount": 9900, "currency": "GBP" }, "allowance": 1000,
    "unlimited": false, "apiAccess": false, "maxUsers": 3, "nextRenewal": "2024-02-01T00:00:00Z",
    "subscriptionCredits": 400, "usedSubscriptionCredits": 600,
    "history": [{ "transactionId": "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "from": "free", "to": "basic", "allowance": 1000,
        "timestamp": "2024-01-15T10:30:00Z" }]
}))]
pub struct SubscriptionView {
    #[serde(flatten)]
    terms: PlanTerms,
    /// What is left of this month's allowance.
    subscription_credits: u64,
    /// Subscription credits spent this month. A change of plan leaves the new allowance less these.
    used_subscription_credits: u64,
    /// The latest hundred changes of plan, the latest first.
    history: Vec<PastPlan>,
}

/// A past change of plan.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PastPlan {
    /// The transaction that made it.
    transaction_id: String,
    /// The plan before.
    from: String,
    /// The plan after.
    to: String,
    /// The allowance since then; null for an unlimited plan.
    allowance: Option<u64>,
    /// When it was made.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    timestamp: DateTime<Utc>,
}

impl PlanTerms {
    /// The terms of a plan with an allowance.
    #[must_use]
    pub fn new(plan: &Plan, allowance: Allowance, next_renewal: DateTime<Utc>) -> Self {
        let credits = number(allowance);
        Self {
            plan: plan.plan.0.clone(),
            name: plan.name.clone(),
            price: plan.fee.into(),
            allowance: credits,
            unlimited: credits.is_none(),
            api_access: plan.api_access,
            max_users: plan.max_users,
            next_renewal,
        }
    }
}

fn number(allowance: Allowance) -> Option<u64> {
    match allowance {
        Allowance::Monthly(credits) => Some(credits.get()),
        Allowance::Unlimited => None,
    }
}

impl SubscriptionView {
    /// The view of an account in which everything due is recorded.
    #[must_use]
    pub fn new(account: &Account, plan: &Plan, history: &[PlanSwitch], now: DateTime<Utc>) -> Self {
        let balance = account.balance(now);
        let past = |change: &PlanSwitch| PastPlan {
            transaction_id: change.id.to_string(),
            from: change.switch.from.0.clone(),
            to: change.switch.to.0.clone(),
            allowance: number(change.switch.allowance),
            timestamp: change.at,
        };
        Self {
            terms: PlanTerms::new(plan, account.allowance, balance.next_renewal()),
            subscription_credits: balance.subscription.get(),
            used_subscription_credits: account.subscription.spent().get(),
            history: history.iter().map(past).collect(),
        }
    }
}
