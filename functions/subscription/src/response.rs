//! Subscriptions and changes of plan as callers see them.

use chrono::{DateTime, Utc};
use domain::{Account, Allowance, Direction, Entry, Plan, PlanTransition};
use scrip_http::{BalanceView, PlanTerms};
use serde::Serialize;
use utoipa::ToSchema;

/// The effect of a change of plan, or of its preview.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubscriptionChange {
    #[serde(flatten)]
    terms: PlanTerms,
    /// The plan before.
    from: String,
    /// Whether the plan has changed, or would change.
    changed: bool,
    /// true for a preview: nothing was changed.
    preview: bool,
    /// The transaction that made the change; null in a preview, and if nothing changed. With an `Idempotency-Key`, a
    /// request that changes nothing is a transaction, too, of no credits.
    transaction_id: Option<String>,
    /// The effect on credits and access.
    effect: SubscriptionEffect,
    /// What to note about the change.
    notices: Vec<String>,
    /// The balance after the change.
    balance: BalanceView,
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

/// Access before and after.
#[derive(Clone, Copy, Serialize, ToSchema)]
struct AccessShift {
    before: bool,
    after: bool,
}

/// A transaction that changes the plan, and the change.
pub(super) struct Switched<'a> {
    pub(super) entry: &'a Entry,
    pub(super) switch: &'a PlanTransition,
}

/// The plans before and after a change, from the catalogue.
#[derive(Clone, Copy)]
pub(super) struct Plans<'a> {
    pub(super) before: &'a Plan,
    pub(super) after: &'a Plan,
}

impl SubscriptionChange {
    /// The effect of a transaction.
    pub(super) fn by(
        switched: Switched<'_>,
        after: &domain::Balance,
        sequence: u64,
        plans: Plans<'_>,
        preview: bool,
    ) -> Self {
        let Switched { entry, switch } = switched;
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
            // An operator may change only the allowance.
            changed: switch.from != switch.to || !entry.amount.is_zero(),
            preview,
            transaction_id: (!preview).then(|| entry.id.to_string()),
            notices: notices(&effect, switch),
            effect,
            balance: BalanceView::new(after, sequence, entry.at),
        }
    }

    /// Adds a notice if only an operator may make the change.
    pub(super) fn for_an_operator(mut self, is_refused: bool) -> Self {
        if is_refused {
            self.notices.push(
                "the plan costs more than the present one, or brings more than a negotiated allowance: an operator must \
                 change to it or allow the change (PLAN_CHANGE_NOT_ALLOWED)"
                    .to_owned(),
            );
        }
        self
    }

    /// The effect if the account has the plan already: none.
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
            balance: BalanceView::new(&balance, account.sequence, now),
        }
    }
}

/// What to note about a change.
fn notices(effect: &SubscriptionEffect, switch: &PlanTransition) -> Vec<String> {
    let CreditsShift { before, after } = effect.subscription_credits;
    let mut notices = Vec::new();
    if switch.allowance == Allowance::Unlimited && switch.from != switch.to {
        notices.push(
            "debits are not limited any more: all are recorded, none is refused for insufficient credits"
                .to_owned(),
        );
    }
    if after < before {
        notices.push(match switch.allowance {
            Allowance::Unlimited => {
                format!("the remaining {before} subscription credits are not counted any more")
            }
            Allowance::Monthly(_) => {
                format!("{} subscription credits are removed at once", before.saturating_sub(after))
            }
        });
    }
    if effect.api_access.before && !effect.api_access.after {
        notices.push(
            "API keys without the `dashboard` scope stop working: they get 403 API_ACCESS_NOT_INCLUDED"
                .to_owned(),
        );
    }
    notices
}
