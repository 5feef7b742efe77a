use chrono::{DateTime, Utc};
use domain::{Account, Allowance, Direction, Entry, Plan, Switch};
use scrip_http::{Balance, Money, instant};
use serde::Serialize;
use store::PlanSwitch;
use utoipa::ToSchema;

/// What a plan means for an organisation.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlanTerms {
    /// Its name in requests.
    plan: String,
    /// Its name for people.
    name: String,
    /// For a month; an amount of 0 is free.
    price: Money,
    /// Credits a month: the plan's, or a negotiated number. Null when there is no limit.
    allowance: Option<u64>,
    /// Whether debits are never refused for want of credits.
    unlimited: bool,
    /// Whether keys without the `dashboard` scope may be used.
    api_access: bool,
    /// Users that the organisation may have; null for any number.
    max_users: Option<u32>,
    /// When the next month's allowance comes.
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    next_renewal: DateTime<Utc>,
}

/// The plan of an organisation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "plan": "basic", "name": "Basic", "price": { "amount": 9900, "currency": "GBP" }, "allowance": 1000,
    "unlimited": false, "apiAccess": false, "maxUsers": 3, "nextRenewal": "2024-02-01T00:00:00Z",
    "subscriptionCredits": 400, "usedSubscriptionCredits": 600,
    "history": [{ "transactionId": "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "from": "free", "to": "basic", "allowance": 1000,
        "timestamp": "2024-01-15T10:30:00Z" }]
}))]
pub(super) struct Subscription {
    #[serde(flatten)]
    terms: PlanTerms,
    /// Left of this month's allowance.
    subscription_credits: u64,
    /// Spent of it this month. What a change of plan leaves is the new allowance less these.
    used_subscription_credits: u64,
    /// Changes of plan, the latest first; the latest hundred.
    history: Vec<PastPlan>,
}

/// A change of plan.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PastPlan {
    /// The transaction that made it.
    transaction_id: String,
    /// The plan before.
    from: String,
    /// The plan after.
    to: String,
    /// What a month brings since; null when there is no limit.
    allowance: Option<u64>,
    /// When.
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    timestamp: DateTime<Utc>,
}

/// What a change of plan does, or would do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubscriptionChange {
    #[serde(flatten)]
    terms: PlanTerms,
    /// The plan before.
    from: String,
    /// Whether the plan is another one now; in a preview, whether it would be.
    changed: bool,
    /// Nothing was changed: this is what would be.
    preview: bool,
    /// The transaction that made the change; null in a preview, and where nothing changed. Under an
    /// `Idempotency-Key` that nothing changed is a transaction too, of no credits.
    transaction_id: Option<String>,
    /// What becomes of what there is.
    effect: SubscriptionEffect,
    /// What to mind, in words.
    notices: Vec<String>,
    /// After the change.
    balance: Balance,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SubscriptionEffect {
    subscription_credits: CreditsShift,
    available: CreditsShift,
    api_access: AccessShift,
}

/// A number before and after.
#[derive(Clone, Copy, Serialize, ToSchema)]
struct CreditsShift {
    before: u64,
    after: u64,
}

/// A yes or no before and after.
#[derive(Clone, Copy, Serialize, ToSchema)]
struct AccessShift {
    before: bool,
    after: bool,
}

/// The two plans of a change, as the catalogue has them.
#[derive(Clone, Copy)]
pub(super) struct Plans<'a> {
    pub(super) before: &'a Plan,
    pub(super) after: &'a Plan,
}

impl PlanTerms {
    fn new(plan: &Plan, allowance: Allowance, next_renewal: DateTime<Utc>) -> Self {
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

impl Subscription {
    /// An account, with all that is due written down.
    pub(super) fn new(account: &Account, plan: &Plan, history: &[PlanSwitch], now: DateTime<Utc>) -> Self {
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

impl SubscriptionChange {
    /// What an entry has done, after which the balance is `after`.
    pub(super) fn by(
        (entry, switch): (&Entry, &Switch),
        (after, sequence): (&domain::Balance, u64),
        plans: Plans<'_>,
        preview: bool,
    ) -> Self {
        let available = after.available().unwrap_or(domain::Credits::MAX).get();
        let before = |after: u64| match entry.direction {
            Direction::Debit => after.saturating_add(entry.amount.get()),
            Direction::Credit => after.saturating_sub(entry.amount.get()),
        };
        let step = |after: u64| CreditsShift { before: before(after), after };
        let effect = SubscriptionEffect {
            subscription_credits: step(after.subscription.get()),
            available: step(available),
            api_access: AccessShift { before: plans.before.api_access, after: plans.after.api_access },
        };
        Self {
            terms: PlanTerms::new(plans.after, switch.allowance, after.next_renewal()),
            from: switch.from.0.clone(),
            // An operator may change the allowance alone.
            changed: switch.from != switch.to || !entry.amount.is_zero(),
            preview,
            transaction_id: (!preview).then(|| entry.id.to_string()),
            notices: notices(&effect, switch),
            effect,
            balance: Balance::new(after, sequence, entry.at),
        }
    }

    /// Says so where only an operator may make the change.
    pub(super) fn for_an_operator(mut self, is_refused: bool) -> Self {
        if is_refused {
            self.notices.push(
                "the plan costs more than the present one, or brings more than a negotiated allowance: an operator has \
                 to change to it, or to allow it (PLAN_CHANGE_NOT_ALLOWED)"
                    .to_owned(),
            );
        }
        self
    }

    /// The plan is that one already.
    pub(super) fn nothing(account: &Account, plan: &Plan, preview: bool, now: DateTime<Utc>) -> Self {
        let balance = account.balance(now);
        let same = |number: u64| CreditsShift { before: number, after: number };
        Self {
            terms: PlanTerms::new(plan, account.allowance, balance.next_renewal()),
            from: account.plan.0.clone(),
            changed: false,
            preview,
            transaction_id: None,
            effect: SubscriptionEffect {
                subscription_credits: same(balance.subscription.get()),
                available: same(balance.available().unwrap_or(domain::Credits::MAX).get()),
                api_access: AccessShift { before: plan.api_access, after: plan.api_access },
            },
            notices: vec![],
            balance: Balance::new(&balance, account.sequence, now),
        }
    }
}

/// What to mind of a change.
fn notices(effect: &SubscriptionEffect, switch: &Switch) -> Vec<String> {
    let CreditsShift { before, after } = effect.subscription_credits;
    let mut notices = Vec::new();
    if switch.allowance == Allowance::Unlimited && switch.from != switch.to {
        notices.push(
            "debits are not limited any more: all are recorded, none is refused for want of credits"
                .to_owned(),
        );
    }
    if after < before {
        notices.push(match switch.allowance {
            Allowance::Unlimited => {
                format!("the {before} subscription credits left are not counted any more: nothing is")
            }
            Allowance::Monthly(_) => {
                format!("{} subscription credits leave at once", before.saturating_sub(after))
            }
        });
    }
    if effect.api_access.before && !effect.api_access.after {
        notices.push(
            "API keys without the `dashboard` scope stop working: they are answered 403 API_ACCESS_NOT_INCLUDED"
                .to_owned(),
        );
    }
    notices
}
