//! The balance of an account.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::timestamp;
use domain::{Receipt, Source};

/// The credits of an organisation.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Balance)]
#[schema(example = json!({
    "subscriptionCredits": 250, "purchasedCredits": 100, "bonusCredits": 50, "usedCredits": 150, "available": 400,
    "spendable": 400, "nextRenewal": "2024-02-01T00:00:00Z", "plan": "professional", "unlimited": false, "heldCredits": 0,
    "disputedCredits": 0,
    "postPaid": null, "asOf": { "sequence": 16, "timestamp": "2024-01-15T10:30:00Z" }, "expiring": []
}))]
pub struct BalanceView {
    /// What is left of this month's allowance. It expires when the month ends.
    pub subscription_credits: u64,
    /// What is left of purchased credits. They never expire.
    pub purchased_credits: u64,
    /// What is left of bonus credits.
    pub bonus_credits: u64,
    /// Credits debited this month, from all sources.
    pub used_credits: u64,
    /// The sum of the three buckets.
    pub available: u64,
    /// What a debit without a service can spend: all but the credits reserved for a service. Thresholds, alerts and
    /// auto-recharge use this number.
    pub spendable: u64,
    /// When the next month's allowance is granted.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    pub next_renewal: DateTime<Utc>,
    /// The subscription plan.
    pub plan: String,
    /// Whether the plan is unlimited: debits are never refused for insufficient credits.
    pub unlimited: bool,
    /// Credits set aside by holds.
    pub held_credits: u64,
    /// Credits of disputed payments. They are in no bucket and cannot be spent.
    pub disputed_credits: u64,
    /// The limit and the outstanding credits of a post-paid organisation.
    pub post_paid: Option<PostPaidView>,
    /// The transaction and the time of this balance.
    pub as_of: AsOf,
    /// The lots that expire next, soonest first.
    pub expiring: Vec<ExpiringView>,
}

/// Credits that are spent before they are bought.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = PostPaid)]
pub struct PostPaidView {
    /// The most credits that may be outstanding; 0 if the organisation can only pay its debt.
    pub limit: u64,
    /// Credits spent that no purchase has settled yet.
    pub outstanding: u64,
}

/// A place in the ledger.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct AsOf {
    /// The number of the last transaction; 0 before the first.
    pub sequence: u64,
    /// The time.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: DateTime<Utc>,
}

/// Credits that will expire.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Expiring)]
pub struct ExpiringView {
    /// The lot.
    pub lot_id: String,
    /// Its bucket.
    #[schema(value_type = String)]
    pub source: Source,
    /// The credits left in the lot.
    pub amount: u64,
    /// The first instant at which they cannot be spent.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: DateTime<Utc>,
}

impl BalanceView {
    /// The view of `balance` after transaction `sequence`, at `at`.
    #[must_use]
    pub fn new(balance: &domain::Balance, sequence: u64, at: DateTime<Utc>) -> Self {
        let expiring = |lot: &domain::ExpiringLot| ExpiringView {
            lot_id: lot.lot.to_string(),
            source: lot.source,
            amount: lot.amount.get(),
            expires_at: lot.expires_at,
        };
        Self {
            subscription_credits: balance.subscription.get(),
            purchased_credits: balance.purchased.get(),
            bonus_credits: balance.bonus.get(),
            used_credits: balance.used.get(),
            available: balance.available().unwrap_or(domain::Credits::MAX).get(),
            spendable: balance.spendable().unwrap_or(domain::Credits::MAX).get(),
            next_renewal: balance.next_renewal(),
            plan: balance.plan.0.clone(),
            unlimited: balance.unlimited,
            held_credits: balance.held.get(),
            disputed_credits: balance.disputed.get(),
            post_paid: balance.post_paid.map(PostPaidView::from),
            as_of: AsOf { sequence, timestamp: at },
            expiring: balance.expiring.iter().map(expiring).collect(),
        }
    }
}

impl From<domain::PostPaid> for PostPaidView {
    fn from(post_paid: domain::PostPaid) -> Self {
        Self { limit: post_paid.limit.get(), outstanding: post_paid.outstanding.get() }
    }
}

impl From<&Receipt> for BalanceView {
    fn from(receipt: &Receipt) -> Self {
        Self::new(&receipt.balance, receipt.sequence, receipt.entry.at)
    }
}
